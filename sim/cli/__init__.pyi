from .app import main as main
from .app import status as status
