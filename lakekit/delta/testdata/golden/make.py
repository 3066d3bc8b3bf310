"""Writes the golden tables: one folder for each, below it `table` and, for the
newest and for chosen older versions, the rows the engine itself reads there.

    python make.py [name ...]      needs pyspark 4.0.0, delta-spark_2.13:4.0.0, deltalake 1.6.6

`rows.json` has one row a line. Every scalar is a text: whole numbers, decimals
and booleans as they are, floats as Python writes them, dates and times in ISO
8601 (UTC, microseconds), binary in hexadecimal. A map is a list of pairs sorted
by key, a struct an object.
"""

import datetime as dt
import decimal
import glob
import json
import os
import shutil
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()
HERE = os.path.dirname(os.path.abspath(__file__))


def text(v):
    if v is None:
        return None
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (bytes, bytearray)):
        return bytes(v).hex()
    if isinstance(v, decimal.Decimal):
        return format(v, "f")
    if isinstance(v, dt.datetime):
        if v.tzinfo is not None:
            v = v.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return f"{v.year:04}-{v.month:02}-{v.day:02}T{v:%H:%M:%S.%f}"
    if isinstance(v, dt.date):
        return v.isoformat()
    if isinstance(v, float):
        return repr(v)
    if isinstance(v, dict):
        pairs = [[text(k), text(x)] for k, x in v.items()]
        return sorted(pairs, key=lambda p: json.dumps(p[0]))
    if hasattr(v, "asDict"):
        return {k: text(v[k]) for k in v.__fields__}
    if isinstance(v, (list, tuple)):
        return [text(x) for x in v]
    return str(v)


def save(name, rows, version=None):
    lines = sorted(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows)
    file = "rows.json" if version is None else f"rows.{version}.json"
    with open(os.path.join(HERE, name, file), "w") as f:
        f.write("".join(line + "\n" for line in lines))


_spark = None


def spark():
    global _spark
    if _spark is None:
        from pyspark.sql import SparkSession

        jars = os.environ.get("DELTA_JARS")  # instead of a download
        b = SparkSession.builder.master("local[1]")
        b = b.config("spark.jars", jars) if jars else b.config("spark.jars.packages", "io.delta:delta-spark_2.13:4.0.0")
        for k, v in {
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.sql.warehouse.dir": "/tmp/golden-warehouse",
        }.items():
            b = b.config(k, v)
        _spark = b.getOrCreate()
        _spark.sparkContext.setLogLevel("ERROR")
    return _spark


def table(name):
    path = os.path.join(HERE, name, "table")
    shutil.rmtree(os.path.join(HERE, name), ignore_errors=True)
    return path


def create(path, columns, properties=None, partition=None):
    props = ", ".join(f"'{k}' = '{v}'" for k, v in (properties or {}).items())
    spark().sql(
        f"CREATE TABLE delta.`{path}` ({columns}) USING delta"
        + (f" PARTITIONED BY ({partition})" if partition else "")
        + (f" TBLPROPERTIES ({props})" if props else "")
    )


def insert(path, values):
    spark().sql(f"INSERT INTO delta.`{path}` SELECT /*+ COALESCE(1) */ * FROM VALUES {values}")


def done(name, *versions):
    """Keeps what Spark reads, and drops what only Spark needs."""
    path = os.path.join(HERE, name, "table")
    save(name, [text(r) for r in spark().read.format("delta").load(path).collect()])
    for v in versions:
        save(name, [text(r) for r in spark().read.format("delta").option("versionAsOf", v).load(path).collect()], v)
    for crc in glob.glob(path + "/**/.*.crc", recursive=True) + glob.glob(path + "/_delta_log/*.crc"):
        os.remove(crc)


def drop_early_json(name, before):
    """As log cleanup does: no commit older than the checkpoint stays."""
    for v in range(before):
        os.remove(os.path.join(HERE, name, "table", "_delta_log", f"{v:020}.json"))


def conf(key, value):
    spark().conf.set(key, value)


NESTED = "id BIGINT, s STRUCT<a: INT, b: STRUCT<c: STRING, d: ARRAY<INT>>>, l ARRAY<STRUCT<x: INT, y: STRING>>, m MAP<STRING, STRUCT<v: DOUBLE>>, ll ARRAY<ARRAY<INT>>, mm MAP<INT, MAP<STRING, INT>>"
NESTED_ROWS = """
 (1, struct(1, struct('c', array(1, 2))), array(struct(1, 'x'), null), map('k', struct(1.5D), 'n', null), array(array(1), null, array()), map(1, map('a', 1))),
 (2, struct(null, struct(null, null)), array(), map(), array(), map()),
 (3, null, null, null, null, null),
 (4, struct(4, null), array(struct(null, null)), map('z', struct(null)), null, map(2, null))"""


def spark_mapping_name(name):
    p = table(name)
    create(p, "`id no` BIGINT, `a,b;{}()=` STRING, `p.q r` STRING, gone INT, " + NESTED.replace("id BIGINT, ", ""),
           {"delta.columnMapping.mode": "name"}, "`p.q r`")
    insert(p, "(1, 'one', 'A B', 7, struct(1, struct('c', array(1, 2))), array(struct(1, 'x')), map('k', struct(1.5D)), array(array(1)), map(1, map('a', 1)))")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN `id no` TO `number one`")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN s.b.c TO `c d`")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN `p.q r` TO part")
    spark().sql(f"ALTER TABLE delta.`{p}` DROP COLUMN gone")
    spark().sql(f"ALTER TABLE delta.`{p}` ADD COLUMNS (gone STRING)")
    spark().sql(f"ALTER TABLE delta.`{p}` ADD COLUMNS (l.element.z DOUBLE)")
    insert(p, "(2, 'two', NULL, struct(null, struct(null, null)), array(struct(2, 'y', 2.5D), null), map(), array(), map(), 'back')")
    done(name, 1)


def spark_mapping_id(name):
    p = table(name)
    create(p, "id BIGINT, `va lue` STRING, " + NESTED.replace("id BIGINT, ", "") + ", p INT", {"delta.columnMapping.mode": "id"}, "p")
    insert(p, "(1, 'one', struct(1, struct('c', array(1, 2))), array(struct(1, 'x')), map('k', struct(1.5D)), array(array(1)), map(1, map('a', 1)), 1), (9, null, null, null, null, null, null, null)")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN `va lue` TO value")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN s.b.c TO e")
    insert(p, "(2, 'two', struct(2, struct('d', array())), array(), map(), array(), map(), 2)")
    done(name, 1)


def spark_mapping_upgraded(name):
    """Physical names are the old logical ones; a dropped one comes back."""
    p = table(name)
    create(p, "id BIGINT, a STRING, b STRING, s STRUCT<x: INT, y: INT>")
    insert(p, "(1, 'old a', 'old b', struct(1, 2))")
    spark().sql(f"ALTER TABLE delta.`{p}` SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')")
    spark().sql(f"ALTER TABLE delta.`{p}` DROP COLUMN a")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN b TO a")
    spark().sql(f"ALTER TABLE delta.`{p}` ADD COLUMNS (b STRING)")
    spark().sql(f"ALTER TABLE delta.`{p}` DROP COLUMN s.x")
    spark().sql(f"ALTER TABLE delta.`{p}` ADD COLUMNS (s.x STRING)")
    insert(p, "(2, 'new a', struct(3, 'x'), 'new b')")
    done(name, 1)


def spark_deletion_vectors(name):
    p = table(name)
    create(p, "id BIGINT, note STRING, p STRING", {"delta.enableDeletionVectors": "true"}, "p")
    spark().sql(f"INSERT INTO delta.`{p}` SELECT /*+ COALESCE(1) */ id, IF(id % 7 = 0, NULL, concat('note ', id)), IF(id % 2 = 0, 'even', 'o/d d') FROM range(200)")
    insert(p, "(1000, 'untouched', NULL)")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id BETWEEN 10 AND 19")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id % 10 = 3")
    spark().sql(f"UPDATE delta.`{p}` SET note = 'updated' WHERE id = 100")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE p = 'o/d d' AND id > 150")
    done(name, 2, 3, 4)


def spark_deletion_vectors_checkpoint(name):
    p = table(name)
    create(p, "id BIGINT, note STRING", {"delta.enableDeletionVectors": "true", "delta.checkpointInterval": "4", "delta.columnMapping.mode": "name"})
    spark().sql(f"INSERT INTO delta.`{p}` SELECT /*+ COALESCE(1) */ id, concat('note ', id) FROM range(100)")
    for first in (5, 50, 90):
        spark().sql(f"DELETE FROM delta.`{p}` WHERE id BETWEEN {first} AND {first + 3}")
    spark().sql(f"ALTER TABLE delta.`{p}` RENAME COLUMN note TO text")
    drop_early_json(name, 4)
    done(name)


def spark_deletion_vectors_without_stats(name):
    """A checkpoint that says of no file how many rows it has."""
    p = table(name)
    create(p, "id BIGINT, note STRING", {"delta.enableDeletionVectors": "true", "delta.checkpointInterval": "2", "delta.checkpointPolicy": "classic", "delta.checkpoint.writeStatsAsJson": "false"})
    spark().sql(f"INSERT INTO delta.`{p}` SELECT /*+ COALESCE(1) */ id, concat('note ', id) FROM range(20)")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id IN (0, 7, 19)")
    drop_early_json(name, 2)
    done(name)


def spark_deletion_vectors_shared(name):
    """The vectors of several data files in one file."""
    p = table(name)
    create(p, "id BIGINT, s STRUCT<l: ARRAY<INT>, m: MAP<STRING, INT>>", {"delta.enableDeletionVectors": "true"})
    for i in range(4):
        spark().sql(f"INSERT INTO delta.`{p}` SELECT /*+ COALESCE(1) */ id, IF(id % 3 = 0, NULL, struct(array(CAST(id AS INT), NULL), map('k', CAST(id AS INT)))) FROM range({i * 30}, {i * 30 + 30})")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id % 7 = 0 AND id < 100 OR id BETWEEN 60 AND 89 AND id % 2 = 0")
    done(name)


def v2_checkpoint(name, format):
    p = table(name)
    conf("spark.databricks.delta.checkpointV2.topLevelFileFormat", format)
    conf("spark.databricks.delta.checkpoint.partSize", "3")
    create(p, "id BIGINT, p STRING", {"delta.checkpointPolicy": "v2", "delta.checkpointInterval": "6"}, "p")
    for i in range(7):
        insert(p, f"({i}, 'a b'), ({i + 100}, NULL)")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id = 102")
    conf("spark.databricks.delta.checkpoint.partSize", "1000000")
    drop_early_json(name, 6)
    done(name)


def spark_v2_checkpoint_json(name):
    v2_checkpoint(name, "json")


def spark_v2_checkpoint_parquet(name):
    v2_checkpoint(name, "parquet")


def spark_multipart_checkpoint(name):
    p = table(name)
    conf("spark.databricks.delta.checkpoint.partSize", "3")
    create(p, "id BIGINT, note STRING", {"delta.checkpointInterval": "5", "delta.checkpointPolicy": "classic"})
    for i in range(6):
        insert(p, f"({i}, 'n{i}')")
    conf("spark.databricks.delta.checkpoint.partSize", "1000000")
    drop_early_json(name, 5)
    done(name)


def spark_stats_struct_only(name):
    """A classic checkpoint whose statistics are structs and not JSON."""
    p = table(name)
    create(p, "id BIGINT, d DECIMAL(10,2), at TIMESTAMP, day DATE", {"delta.checkpointInterval": "3", "delta.checkpoint.writeStatsAsJson": "false", "delta.checkpoint.writeStatsAsStruct": "true", "delta.checkpointPolicy": "classic"})
    for i in range(3):
        insert(p, f"({i}, {i}.25, TIMESTAMP '196{i}-01-01 00:00:00.000001', DATE '196{i}-01-01')")
    drop_early_json(name, 3)
    done(name)


def spark_type_widening(name):
    p = table(name)
    create(p, "id BIGINT, b TINYINT, s SMALLINT, i INT, f FLOAT, id2 INT, idec INT, ldec BIGINT, d DATE, dec DECIMAL(5,2), n STRUCT<x: SMALLINT, y: STRING>, l ARRAY<INT>, m MAP<TINYINT, FLOAT>, p SMALLINT",
           {"delta.enableTypeWidening": "true", "delta.feature.timestampNtz": "supported"}, "p")
    insert(p, "(1, -128Y, -32768S, -2147483648, CAST(1.1 AS FLOAT), 2147483647, 7, 9007199254740993, DATE '1969-12-31', 123.45, struct(1S, 'a'), array(1, null), map(1Y, CAST(1.5 AS FLOAT)), 5S), (2, null, null, null, null, null, null, null, null, null, null, null, null, null)")
    for column, to in {"b": "SMALLINT", "s": "INT", "i": "BIGINT", "f": "DOUBLE", "id2": "DOUBLE", "idec": "DECIMAL(12,2)", "ldec": "DECIMAL(22,2)", "d": "TIMESTAMP_NTZ", "dec": "DECIMAL(12,4)",
                       "n.x": "INT", "l.element": "BIGINT", "m.key": "INT", "m.value": "DOUBLE", "p": "INT"}.items():
        spark().sql(f"ALTER TABLE delta.`{p}` ALTER COLUMN {column} TYPE {to}")
    insert(p, "(3, 300S, 70000, 5000000000, 1.1D, 0.5D, 123.45, 1.01, TIMESTAMP_NTZ '2020-02-29 12:34:56.789012', 12345.6789, struct(70000, 'b'), array(5000000000), map(70000, 1.1D), 70000)")
    done(name, 1)


def spark_partition_types(name):
    p = table(name)
    create(p, "id BIGINT, b TINYINT, s SMALLINT, i INT, l BIGINT, f FLOAT, d DOUBLE, dec DECIMAL(20,5), bool BOOLEAN, str STRING, bin BINARY, day DATE, at TIMESTAMP, ntz TIMESTAMP_NTZ",
           {"delta.feature.timestampNtz": "supported"}, "b, s, i, l, f, d, dec, bool, str, bin, day, at, ntz")
    insert(p, """(1, -1Y, -2S, -3, -9223372036854775808, CAST(1.5 AS FLOAT), -1e300D, -123.45600, true, 'a/b c=%25ü"\\'{}?#&+:*\\\\', X'41C3A9', DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.123456', TIMESTAMP_NTZ '1900-01-01 00:00:00.5'),
                 (2, null, null, null, null, null, null, null, null, null, null, null, null, null),
                 (3, 127Y, 32767S, 2147483647, 9223372036854775807, CAST('NaN' AS FLOAT), CAST('-Infinity' AS DOUBLE), 0, false, '', X'', DATE '9999-12-31', TIMESTAMP '2024-03-10 02:30:00', TIMESTAMP_NTZ '2024-03-10 02:30:00'),
                 (4, 0Y, 0S, 0, 0, CAST(0 AS FLOAT), CAST('Infinity' AS DOUBLE), 999999999999999.99999, false, ' ', X'0120', DATE '0002-01-01', TIMESTAMP '0002-01-01 00:00:00', TIMESTAMP_NTZ '0002-01-01 00:00:00')""")
    done(name)


FAR = ["0002-01-01 00:00:00", "1582-10-04 23:59:59.999999", "1582-10-15 00:00:00", "9999-12-31 23:59:59.999999"]
NEAR = ["1677-09-22 00:00:00", "1900-01-01 00:00:00.000001", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "2262-04-11 00:00:00"]


def old_times(name, output, times):
    p = table(name)
    conf("spark.sql.parquet.outputTimestampType", output)
    create(p, "id INT, day DATE, at TIMESTAMP, ats ARRAY<TIMESTAMP>, s STRUCT<at: TIMESTAMP>")
    insert(p, ", ".join(f"({i}, DATE '{t[:10]}', TIMESTAMP '{t}', array(TIMESTAMP '{t}', null), struct(TIMESTAMP '{t}'))" for i, t in enumerate(times)) + ", (99, null, null, null, null)")
    conf("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    done(name)


def spark_old_times(name):
    old_times(name, "TIMESTAMP_MICROS", FAR + NEAR)


def spark_int96(name):
    old_times(name, "INT96", NEAR)


def spark_int96_far(name):
    """Beyond what nanoseconds in 64 bits can hold."""
    old_times(name, "INT96", FAR + NEAR)


def spark_timestamp_millis(name):
    old_times(name, "TIMESTAMP_MILLIS", FAR + NEAR)


def spark_decimals(name):
    p = table(name)
    create(p, "a DECIMAL(1,0), b DECIMAL(9,9), c DECIMAL(18,2), d DECIMAL(19,0), e DECIMAL(38,10), f DECIMAL(38,38), l ARRAY<DECIMAL(38,0)>")
    insert(p, "(9, 0.123456789, -1234567890123456.78, 9223372036854775808, 1234567890123456789012345678.0123456789, -0.00000000000000000000000000000000000001, array(99999999999999999999999999999999999999, null)), (-9, -0.999999999, 0.01, -1, -0.0000000001, 0.5, array()), (null, null, null, null, null, null, null)")
    done(name)


def spark_nested(name):
    p = table(name)
    create(p, NESTED)
    insert(p, NESTED_ROWS)
    spark().sql(f"ALTER TABLE delta.`{p}` ADD COLUMNS (s.z BINARY, l.element.z DECIMAL(5,1), added MAP<STRING, BINARY>)")
    insert(p, "(5, struct(5, struct('e', array()), X'00FF'), array(struct(5, 'five', 5.5)), map(), array(array(5, null)), map(5, map('five', null)), map('k', X'CAFE'))")
    done(name, 1)


def spark_in_commit_timestamps(name):
    p = table(name)
    create(p, "id BIGINT")
    insert(p, "(1)")
    spark().sql(f"ALTER TABLE delta.`{p}` SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')")
    insert(p, "(2)")
    insert(p, "(3)")
    done(name, 1, 3)


def spark_vacuum_protocol_check(name):
    p = table(name)
    create(p, "id BIGINT, at TIMESTAMP_NTZ", {"delta.feature.vacuumProtocolCheck": "supported"})
    insert(p, "(1, TIMESTAMP_NTZ '1969-07-20 20:17:40.000001'), (2, null)")
    done(name)


def compact_log(path, first, last):
    """A log compaction as PROTOCOL.md describes it: Spark writes none of its own."""
    files, txns = {}, {}
    for v in range(first, last + 1):
        with open(f"{path}/_delta_log/{v:020}.json") as f:
            actions = [json.loads(line) for line in f]
        for kind in ("remove", "add"):
            for a in actions:
                if kind in a:
                    dv = a[kind].get("deletionVector") or {}
                    files[a[kind]["path"], dv.get("pathOrInlineDv"), dv.get("offset")] = a
    with open(f"{path}/_delta_log/{first:020}.{last:020}.compacted.json", "w") as f:
        f.write("".join(json.dumps(a) + "\n" for a in files.values()))


def spark_log_compaction(name):
    p = table(name)
    create(p, "id BIGINT, p INT", {"delta.enableDeletionVectors": "true", "delta.checkpointInterval": "100"}, "p")
    for i in range(5):
        spark().sql(f"INSERT INTO delta.`{p}` SELECT /*+ COALESCE(1) */ id, {i} FROM range({i * 10}, {i * 10 + 10})")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id % 5 = 1")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE p = 2")
    insert(p, "(1000, 9)")
    compact_log(p, 1, 4)
    compact_log(p, 2, 6)
    done(name, 5)


def spark_skipping(name):
    """Long texts, NaN, nulls, wide bounds, times between milliseconds."""
    p = table(name)
    create(p, "id BIGINT, t STRING, x DOUBLE, at TIMESTAMP, n INT, dec DECIMAL(38,10), p DATE", {"delta.enableDeletionVectors": "true"}, "p")
    long = "z" * 40
    insert(p, f"(1, '{long}a', 1.0D, TIMESTAMP '2020-01-01 00:00:00.000999', null, 1.5, DATE '2020-01-01'), (2, '{long}b', CAST('NaN' AS DOUBLE), TIMESTAMP '2020-01-01 00:00:00.000001', null, 12345678901234567890.0000000001, DATE '2020-01-01')")
    insert(p, "(3, 'a', 5.0D, TIMESTAMP '2021-01-01 00:00:00', 3, -1, DATE '2021-01-01'), (4, 'b', -0.0D, null, null, null, DATE '2021-01-01')")
    insert(p, "(5, null, CAST('Infinity' AS DOUBLE), TIMESTAMP '1960-01-01 00:00:00.0005', 5, 0, null), (6, 'é', 7.0D, TIMESTAMP '1960-01-01 00:00:00.000999', 6, 1, null)")
    spark().sql(f"DELETE FROM delta.`{p}` WHERE id IN (3, 6)")
    done(name)


def deltars(name, batches, **options):
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    p = table(name)
    os.makedirs(os.path.dirname(p))
    for batch in batches:
        write_deltalake(p, batch, mode="append", **options)
    return p


def deltars_done(name):
    from deltalake import DeltaTable
    import pyarrow as pa

    data = pa.table(DeltaTable(os.path.join(HERE, name, "table")).to_pyarrow_dataset().to_table())
    save(name, [record(r) for r in data.to_pylist()])


def record(v):
    """In pyarrow's rows a dict is a struct; there are no maps in ours."""
    return {k: record(x) for k, x in v.items()} if isinstance(v, dict) else text(v)


def arrow_rows():
    import pyarrow as pa

    utc, D = dt.timezone.utc, decimal.Decimal
    return pa.table({
        "id": pa.array([1, 2, 3], pa.int64()),
        "b": pa.array([-128, None, 127], pa.int8()),
        "f": pa.array([1.5, None, float("nan")], pa.float32()),
        "d": pa.array([-0.0, None, float("inf")], pa.float64()),
        "dec": pa.array([D("-1.50"), None, D("12345678901234567.89")], pa.decimal128(20, 2)),
        "flag": pa.array([True, None, False]),
        "bin": pa.array([b"\x00\xff", None, b""], pa.binary()),
        "day": pa.array([dt.date(1969, 12, 31), None, dt.date(2020, 2, 29)]),
        "at": pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, 999999, utc), None, dt.datetime(2020, 2, 29, 1, 2, 3, tzinfo=utc)], pa.timestamp("us", "UTC")),
        "ntz": pa.array([dt.datetime(1900, 1, 1), None, dt.datetime(2020, 2, 29, 1, 2, 3, 4)], pa.timestamp("us")),
        "s": pa.array([{"a": 1, "b": ["x", None]}, None, {"a": None, "b": None}], pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))])),
        "p": pa.array(["a/b c%20", None, "ü=é"], pa.string()),
    })


def deltars_types(name):
    deltars(name, [arrow_rows()])
    deltars_done(name)


def deltars_partitioned(name):
    deltars(name, [arrow_rows()], partition_by=["p", "day"])
    deltars_done(name)


def deltars_checkpoint(name):
    from deltalake import DeltaTable

    rows = arrow_rows().select(["id", "dec", "at", "p"])
    p = deltars(name, [rows.slice(0, 2), rows.slice(2, 1), rows], partition_by=["p"])
    DeltaTable(p).delete("id = 2")
    DeltaTable(p).create_checkpoint()
    drop_early_json(name, 3)
    deltars_done(name)


ALL = [f for n, f in list(globals().items()) if n.startswith(("spark_", "deltars_")) and n != "deltars_done"]

if __name__ == "__main__":
    failed = []
    for make in ALL:
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]:
            continue
        try:
            make(make.__name__)
            print(make.__name__, flush=True)
        except Exception as e:
            failed.append(make.__name__)
            print(make.__name__, "failed:", str(e)[:600], flush=True)
    sys.exit(f"failed: {failed}" if failed else 0)
