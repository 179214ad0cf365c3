"""Networks from elsewhere, and networks for other tools.

Names, listed in the stub beside this file, are imported where they are first used: import_network needs the whole
package of conversion, export does not.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
