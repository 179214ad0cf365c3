from .card import Card as Card
from .citations import citations as citations
from .export import Exported as Exported
from .export import export as export
from .foreign_recordings import import_recording as import_recording
from .import_network import ArrayMapping as ArrayMapping
from .import_network import import_network as import_network
from .nir_graph import Nir as Nir
from .recording_formats import to_neo as to_neo
from .recording_formats import to_pynapple as to_pynapple
from .stimulus_file import read_stimulus as read_stimulus

__all__: list[str]
