"""What code of one's own may raise."""

ANYTHING = (Exception, SystemExit)
"""Any error, and the end of the process by ``sys.exit``: leomix says whose it was, and goes on."""
