from .app import status as status
from .entry import main as main
