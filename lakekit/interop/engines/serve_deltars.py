"""delta-rs, by its Python package."""

import time

from serve import load, save, serve

import deltalake
import pyarrow
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake


class DeltaRS:
    version = "delta-rs " + deltalake.__version__

    def read(self, path, into, version=None, timestamp=None, where=None):
        table = DeltaTable(path, version=version)
        if timestamp is not None:
            table.load_as_version(timestamp)
        condition = f" WHERE {where}" if where else ""
        save(pyarrow.table(QueryBuilder().register("t", table).execute(f"SELECT * FROM t{condition}").read_all()), into)

    def describe(self, path, apps=()):
        table = DeltaTable(path)
        return {
            "version": table.version(),
            "schema": table.schema().to_json(),
            "partitionColumns": table.metadata().partition_columns,
            "properties": table.metadata().configuration,
            "history": [{k: e.get(k) for k in ("version", "operation", "userMetadata")} for e in table.history()],
            "txns": {app: table.transaction_version(app) for app in apps if table.transaction_version(app) is not None},
        }

    def append(self, path, rows, partition_by=None, merge_schema=False, app=None, batch=None, properties=None):
        transactions = [Transaction(app, batch)] if app else None
        write_deltalake(
            path, load(rows), mode="append", partition_by=partition_by, configuration=properties,
            schema_mode="merge" if merge_schema else None,
            commit_properties=CommitProperties(app_transactions=transactions),
        )

    def append_many(self, path, first, commits):
        """One row a commit: ids first, first + 1, ..."""
        for i in range(first, first + commits):
            write_deltalake(path, pyarrow.table({"id": pyarrow.array([i], pyarrow.int64())}), mode="append")

    def delete(self, path, where):
        DeltaTable(path).delete(where)

    def update(self, path, where, updates):
        DeltaTable(path).update(updates=updates, predicate=where)

    def optimize(self, path, z_order=()):
        optimizer = DeltaTable(path).optimize
        optimizer.z_order(list(z_order)) if z_order else optimizer.compact()

    def vacuum(self, path):
        DeltaTable(path).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)

    def restore(self, path, version):
        DeltaTable(path).restore(version)

    def checkpoint(self, path):
        DeltaTable(path).create_checkpoint()

    def load_snapshot(self, path, times):
        return timed(times, lambda i: DeltaTable(path).get_add_actions())

    def time_append(self, path, rows, times):
        table = load(rows)
        return timed(times, lambda i: write_deltalake(f"{path}{i}", table, mode="append"))

    def time_read(self, path, want, times):
        def read(i):
            batches = QueryBuilder().register("t", DeltaTable(path)).execute("SELECT * FROM t")
            rows = sum(batch.num_rows for batch in batches)
            assert rows == want, rows

        return timed(times, read)


def timed(times, do):
    """The seconds that each of some calls of do took."""
    took = []
    for i in range(times):
        begin = time.perf_counter()
        do(i)
        took.append(time.perf_counter() - begin)
    return took


serve(DeltaRS())
