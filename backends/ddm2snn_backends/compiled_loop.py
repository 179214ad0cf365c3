"""The closed loop in compiled code: neurons in tiles, sums of chunks in fixed order, latents in double precision.

Neurons lie in tiles of a fixed size, which stay in the cache through all passes, and the last tile is filled up with
neurons that never fire. A chunk is a fixed number of tiles. What the spikes of a step add to the latents is summed
within each chunk, neuron by neuron, and then over the chunks in their order, whichever thread or process made the sum
of which chunk. Nothing here is compiled with fast-math. So the bits depend on neither number.

Each thread has latents of its own and advances them by the same sums: there is one barrier in each step, and a second
one around the exchange with other processes. Waiting threads give their core away. Numba's parallel loops would open a
region in each step instead, which took up to 8 ms on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ddm2snn.base.compiled import compiled

TILE = 128  # neurons whose voltages stay in the first cache [cost]
CHUNK_TILES = 32  # at least, in a chunk: the least work that a thread gets [cost]
MOST_CHUNKS = 4096  # whose sums all processes exchange in each step [cost]
LEAKY, LEAKY_EACH, LINEAR, ADAPTIVE = range(4)  # membranes [code]
GO_ON, STOP, LOST = 0, 1, 2  # states of the waiting threads [code]
COUNTER, STATE = 0, 8  # places in `sync`, in cache lines of their own [code]
_SPINS = 2000  # looks at a counter before the core is given away, some 10 us [cost]

_sched_yield = types.ExternalFunction("sched_yield", types.int32())
_Code = tuple[Any, Callable[..., Any]]


@intrinsic
def _add_atomic(_: Any, array: Any, index: Any, value: Any) -> _Code:  # noqa: ANN401 - types of Numba's
    """Add to a whole number that threads share; seen by all that see the new one is what was written before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), code


@intrinsic
def _load_atomic(_: Any, array: Any, index: Any) -> _Code:  # noqa: ANN401
    """Read a whole number that threads share."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), code


@intrinsic
def _call_c(_: Any, address: Any, arguments: Any) -> _Code:  # noqa: ANN401
    """Call a C function at an address with whole numbers and addresses; returns its int."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        word, count = ir.IntType(64), len(signature.args[1])
        kind = ir.FunctionType(ir.IntType(32), [word] * count)
        function = builder.inttoptr(values[0], kind.as_pointer())
        result = builder.call(function, [builder.extract_value(values[1], i) for i in range(count)])
        return builder.sext(result, word)

    return types.int64(types.int64, types.UniTuple(types.int64, len(arguments))), code


@compiled()
def _wait(sync: np.ndarray, until: int) -> bool:
    """Wait for a count of arrivals; False where the run is to stop."""
    looks = 0
    while _load_atomic(sync, COUNTER) < until:  # pyright: ignore[reportCallIssue]
        if _load_atomic(sync, STATE) != GO_ON:  # pyright: ignore[reportCallIssue]
            return False
        looks += 1
        if looks > _SPINS:
            _sched_yield()
    return True


@compiled()
def _exchange(own: np.ndarray, gathered: np.ndarray, mpi: np.ndarray, sync: np.ndarray) -> bool:
    """Gather the sums of all processes' chunks; `mpi` is that of `ddm2snn_backends.compiled_ranks.Ranks`."""
    request, done, status = np.zeros(2, np.int64), np.zeros(2, np.int32), np.zeros(64, np.int64)
    count = own.size
    begin = (
        np.int64(own.ctypes.data), np.int64(count), mpi[2],
        np.int64(gathered.ctypes.data), np.int64(count), mpi[2], mpi[3], np.int64(request.ctypes.data),
    )  # fmt: skip
    test = np.int64(request.ctypes.data), np.int64(done.ctypes.data), np.int64(status.ctypes.data)
    failed = _call_c(mpi[0], begin)  # pyright: ignore[reportCallIssue]
    looks = 0
    while failed == 0 and done[0] == 0:
        failed = _call_c(mpi[1], test)  # pyright: ignore[reportCallIssue]
        looks += 1
        if looks > _SPINS:
            if _load_atomic(sync, STATE) != GO_ON:  # pyright: ignore[reportCallIssue]
                return False
            _sched_yield()
    if failed != 0:
        _add_atomic(sync, STATE, LOST)
    return failed == 0


@compiled(fastmath={"contract"})
def _first_currents(z: np.ndarray, bias: np.ndarray, weights: np.ndarray, tile: int, current: np.ndarray) -> None:
    """Input currents of a tile but for the last three latents."""
    for j in range(TILE):
        current[0, j] = bias[tile, j]
    for row in range(0, len(z) - 3, 3):
        for j in range(TILE):
            current[0, j] = _current(current, 0, weights, tile, j, z, row)


@compiled(fastmath={"contract"})
def _current(base: np.ndarray, at: int, weights: np.ndarray, tile: int, j: int, z: np.ndarray, row: int) -> float:
    """Input current of a neuron: what three latents add to a base, an array (tile, TILE)."""
    sum_of_two = base[at, j] + z[row] * weights[tile, row, j] + z[row + 1] * weights[tile, row + 1, j]
    return sum_of_two + z[row + 2] * weights[tile, row + 2, j]


@compiled(fastmath={"contract"})
def _leaky(z: np.ndarray, base: np.ndarray, at: int, tile: int, neurons: tuple) -> int:
    """Leaky membranes of a tile with one decay for all; returns the number of spikes, as all of these do."""
    _, constants, _, _, weights, _, v, _ = neurons
    shared, mark, row = constants[0], constants[2], len(z) - 3
    zero, one = constants.dtype.type(0.0), constants.dtype.type(1.0)
    count = 0
    for j in range(TILE):
        before = v[tile, j]
        current = _current(base, at, weights, tile, j, z, row)
        x = current + (before - current) * shared
        x = x if x > zero else zero
        x = x if before >= zero else before + one
        fired = x > one
        v[tile, j] = mark if fired else x
        count += 1 if fired else 0
    return count


@compiled(fastmath={"contract"})
def _leaky_each(z: np.ndarray, base: np.ndarray, at: int, tile: int, neurons: tuple) -> int:
    """Leaky membranes of a tile, each with a decay of its own: one loop for both is slower (`huge.py`)."""
    _, constants, decay, _, weights, _, v, _ = neurons
    mark, row = constants[2], len(z) - 3
    zero, one = constants.dtype.type(0.0), constants.dtype.type(1.0)
    count = 0
    for j in range(TILE):
        before = v[tile, j]
        current = _current(base, at, weights, tile, j, z, row)
        x = current + (before - current) * decay[tile, j]
        x = x if x > zero else zero
        x = x if before >= zero else before + one
        fired = x > one
        v[tile, j] = mark if fired else x
        count += 1 if fired else 0
    return count


@compiled(fastmath={"contract"})
def _linear(z: np.ndarray, base: np.ndarray, at: int, tile: int, neurons: tuple) -> int:
    """Membranes of a tile without leak; what is above the threshold stays, as a negative voltage that marks a spike."""
    _, constants, _, _, weights, _, v, _ = neurons
    per_step, row = constants[3], len(z) - 3
    zero, one, two = constants.dtype.type(0.0), constants.dtype.type(1.0), constants.dtype.type(2.0)
    count = 0
    for j in range(TILE):
        current = _current(base, at, weights, tile, j, z, row)
        push = current if current > zero else zero
        x = v[tile, j] + push * per_step
        fired = x > one
        rest = x - one if x < two else one
        v[tile, j] = -rest if fired else x
        count += 1 if fired else 0
    return count


@compiled(fastmath={"contract"})
def _adaptive(z: np.ndarray, base: np.ndarray, at: int, tile: int, neurons: tuple) -> int:
    """Leaky membranes of a tile with an adaptive threshold."""
    _, constants, _, _, weights, _, v, raised = neurons
    shared, mark, fade, jump, row = constants[0], constants[2], constants[4], constants[5], len(z) - 3
    zero, one = constants.dtype.type(0.0), constants.dtype.type(1.0)
    count = 0
    for j in range(TILE):
        before = v[tile, j]
        current = _current(base, at, weights, tile, j, z, row)
        x = current + (before - current) * shared
        x = x if x > zero else zero
        x = x if before >= zero else before + one
        above_rest = raised[tile, j] * fade
        fired = x > one + above_rest
        v[tile, j] = mark if fired else x
        raised[tile, j] = above_rest + (jump if fired else zero)
        count += 1 if fired else 0
    return count


@compiled()
def _chunk_sums(part: tuple, neurons: tuple, z: np.ndarray, current: np.ndarray, spikes: tuple, sums: tuple) -> int:
    """Advance the neurons of some chunks by a step, sum what their spikes add, and append the spikes' neurons.

    The membranes mark a neuron that fires by a negative voltage, below the number of refractory steps that takes its
    place here; refractory neurons hold the number of steps that are left, as a negative voltage.
    """
    first, last, chunk_tiles, first_tile = part
    model, constants, _, bias, weights, decoders, v, _ = neurons
    fired, kept = spikes
    total, parity = sums
    limit = constants.dtype.type(0.0) if model == LINEAR else -constants[1] - constants.dtype.type(0.5)
    rows, keep, several = decoders.shape[2], len(fired) > 0, len(z) > 3
    for chunk in range(first, last):
        for row in range(rows):
            total[parity, chunk, row] = 0.0
        for tile in range(chunk * chunk_tiles, min((chunk + 1) * chunk_tiles, len(weights))):
            base, at = bias, tile
            if several:
                _first_currents(z, bias, weights, tile, current)
                base, at = current, 0
            if model == LEAKY:
                count = _leaky(z, base, at, tile, neurons)
            elif model == LEAKY_EACH:
                count = _leaky_each(z, base, at, tile, neurons)
            elif model == LINEAR:
                count = _linear(z, base, at, tile, neurons)
            else:
                count = _adaptive(z, base, at, tile, neurons)
            if count == 0:
                continue
            for j in range(TILE):
                if v[tile, j] < limit:
                    v[tile, j] = -v[tile, j] if model == LINEAR else -constants[1]
                    for row in range(rows):
                        total[parity, chunk, row] += decoders[tile, j, row]
                    if keep:
                        fired[kept] = (first_tile + tile) * TILE + j
                        kept += 1
    return kept


@compiled()
def _advance_latents(numbers: tuple, course: tuple, at: int, total: np.ndarray, loop: tuple) -> None:
    """Advance the latents by a step, in the order of `ddm2snn.backend`."""
    decay, rise, factor_decay, dt_s, noise_scale = numbers
    inputs, white, factor, sections = course
    z, decoded, entries, before, earlier, chi = loop
    rank = len(z)
    for c in range(rank):
        chi[c] = white[at, c]
        if len(sections):
            b0, b1, b2, a1, a2 = sections[c]
            chi[c] = b0 * white[at, c] + before[c]
            before[c] = b1 * white[at, c] - a1 * chi[c] + earlier[c]
            earlier[c] = b2 * white[at, c] - a2 * chi[c]
    for c in range(rank):
        decoded[c] = rise * decoded[c] + (1.0 - rise) * (total[c] / dt_s)
        z[c] = decay * z[c] + (1.0 - decay) * (inputs[at, c] + decoded[c])
        noise = 0.0
        for d in range(rank):
            noise += factor[c, d] * chi[d]
        z[c] += noise
        if len(entries):
            noise = 0.0
            for d in range(rank):
                noise += entries[c * rank + d] * white[at, d]
            z[c] += noise_scale * noise
    for e in range(len(entries)):
        entries[e] = factor_decay * entries[e] + (1.0 - factor_decay) * total[rank + e] / dt_s


@compiled()
def _all_there(sync: np.ndarray, threads: int, arrivals: int) -> bool:
    """Wait until all threads are here; False where the run is to stop."""
    if threads > 1:
        _add_atomic(sync, COUNTER, 1)  # pyright: ignore[reportCallIssue]
        return _wait(sync, arrivals + threads)
    return True


@compiled(nogil=True)
def advance(
    part: tuple,
    neurons: tuple,
    numbers: tuple,
    course: tuple,
    loop: tuple,
    shared: tuple,
    spikes: tuple,
    samples: tuple,
) -> int:
    """Go on for a block of steps with one thread's part of the chunks; returns how many steps were done.

    `part` is the first chunk and the one behind the last, the number of tiles in a chunk, and the first tile of this
    process. `neurons` are model, constants (decay of the membrane, refractory steps, mark of a spike, voltage per
    current in a step without leak, decay and jump of the threshold), decays, bias (tile, TILE), weights (tile, rank,
    TILE), decoders (tile, TILE, row), voltages and raised thresholds; the rank is filled up to a multiple of three.
    `numbers` are those of the latents' equation, `course` inputs and normal numbers (step, rank), noise factor and
    filters, and `loop` what the latents are now. `shared` are the sums of chunks (2, chunk, row), those of all
    processes, counters, the number of threads, which of them this one is, and MPI. `spikes` are the neurons that fired
    and how many in each step. `samples` are the latents (sample, rank), which are written where a step is one, the
    stride, and the number of the first step.
    """
    z = loop[0]
    sums, gathered, sync, threads, thread, mpi = shared
    fired, counts = spikes
    latents, stride, begin = samples
    cast, current = np.zeros(neurons[4].shape[1], neurons[4].dtype), np.empty((1, TILE), neurons[4].dtype)
    steps, kept, arrivals, total = len(course[0]), 0, 0, np.empty(sums.shape[2])
    for at in range(steps):
        if len(latents) and (begin + at) % stride == 0:
            latents[(begin + at) // stride] = z
        for c in range(len(z)):
            cast[c] = z[c]
        before = kept
        kept = _chunk_sums(part, neurons, cast, current, (fired, kept), (sums, at % 2))
        counts[at] = kept - before
        every = sums[at % 2]
        if not _all_there(sync, threads, arrivals):
            return at
        arrivals += threads
        if len(mpi):
            every = gathered[at % 2]
            if thread == 0 and not _exchange(sums[at % 2], every, mpi, sync):
                return at
            if not _all_there(sync, threads, arrivals):
                return at
            arrivals += threads
        total[:] = 0.0
        for chunk in range(len(every)):
            for row in range(len(total)):
                total[row] += every[chunk, row]
        _advance_latents(numbers, course, at, total, loop)
    return steps
