"""DuckDB with its delta extension, where that can be installed."""

from serve import save, serve

import duckdb


class DuckDB:
    version = "DuckDB " + duckdb.__version__

    def __init__(self):
        self.connection = duckdb.connect(config={"extension_directory": "duckdb_extensions"})

    def probe(self):
        """Why there is no delta extension, or nothing."""
        try:
            self.connection.execute("INSTALL delta; LOAD delta")
        except duckdb.Error as e:
            return str(e).splitlines()[0]

    def read(self, path, into):
        save(self.connection.execute("SELECT * FROM delta_scan(?)", [path]).to_arrow_table(), into)


serve(DuckDB())
