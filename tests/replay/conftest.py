from tests.ops.conftest import connection

__all__ = ["connection"]
