from .export import Exported as Exported
from .export import export as export
from .import_network import ArrayMapping as ArrayMapping
from .import_network import import_network as import_network
from .nir_graph import Nir as Nir
from .stimulus_file import read_stimulus as read_stimulus

__all__: list[str]
