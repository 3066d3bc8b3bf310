"""Spark, as the tests of tables and streams want it."""

import datetime
import json
import os

from serve import save, serve

import pyspark
from pyspark.sql import functions as f

import spark_session

SETTINGS = {
    **spark_session.SETTINGS,
    "spark.driver.memory": "1g",
    # A small table asks for little work, and for none twice: neither compiled code
    # nor a plan that is made again after every stage pays.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    # Tasks by the dozen for a small table are most of the time otherwise.
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",  # of VACUUM; the default is 10,000
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    "spark.local.dir": os.getcwd(),
    "spark.sql.warehouse.dir": os.path.join(os.getcwd(), "warehouse"),
}


def text(v):
    if v is None or isinstance(v, str):
        return v
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, float):
        return "NaN" if v != v else "%.17g" % (v + 0.0)
    if isinstance(v, datetime.datetime):
        return v.strftime("%Y-%m-%dT%H:%M:%S.%f")
    if isinstance(v, (list, tuple)):
        return json.dumps([text(x) for x in v])
    return str(v)


class Spark:
    def __init__(self):
        self.session = spark_session.open_session(SETTINGS)
        self.version = "Spark " + pyspark.__version__

    def delta_log(self, path):
        """A new one: others have written since the last look."""
        log = self.session._jvm.org.apache.spark.sql.delta.DeltaLog
        log.clearCache()
        return log.forTable(self.session._jsparkSession, path)

    def read(self, path, into, version=None, timestamp=None, where=None):
        self.delta_log(path)
        reader = self.session.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        if timestamp is not None:
            reader = reader.option("timestampAsOf", timestamp)
        rows = reader.load(path)
        save((rows.where(where) if where else rows).toArrow(), into)

    def describe(self, path, apps=()):
        snapshot = self.delta_log(path).unsafeVolatileSnapshot()
        metadata = json.loads(snapshot.metadata().json())["metaData"]
        txns = {}
        for app in apps:
            version = snapshot.transactions().get(app)
            if version.isDefined():
                txns[app] = version.get()
        return {
            "version": snapshot.version(),
            "schema": metadata["schemaString"],
            "partitionColumns": metadata["partitionColumns"],
            "properties": metadata["configuration"],
            "history": [
                {"version": e.version, "operation": e.operation, "userMetadata": e.userMetadata}
                for e in self.session.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()
            ],
            "txns": txns,
        }

    def sql(self, statements, conf=None):
        """Runs statements one after the other, with these settings."""
        self.session._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
        conf = conf or {}
        for key, value in conf.items():
            self.session.conf.set(key, value)
        try:
            for statement in statements:
                self.session.sql(statement)
        finally:
            for key in conf:
                if key in SETTINGS:
                    self.session.conf.set(key, SETTINGS[key])
                else:
                    self.session.conf.unset(key)

    def query(self, statement, zone="UTC"):
        """The rows of a statement, as texts; zeros have no sign. Nothing is left
        out by bounds: Spark loses NaN by those of Parquet and of delta-rs. Delta
        looks for new versions, and keeps what it knows of the one that it has."""
        conf = {
            "spark.sql.session.timeZone": zone,
            "spark.sql.parquet.filterPushdown": "false",
            "spark.databricks.delta.stats.skipping": "false",
        }
        for key, value in conf.items():
            self.session.conf.set(key, value)
        try:
            return [[text(v) for v in row] for row in self.session.sql(statement).collect()]
        finally:
            for key in conf:
                self.session.conf.unset(key)

    def stream(self, servers, topic, schema, path, checkpoint, max_offsets):
        """Takes what is in the topic, as the course's query does, and ends."""
        self.session._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
        session = self.session.newSession()
        session.conf.set("spark.sql.shuffle.partitions", "200")  # the default, which the checkpoint notes
        query = (
            session.readStream.format("kafka")
            .option("kafka.bootstrap.servers", servers)
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", max_offsets)
            .load()
            .select(f.from_json(f.col("value").cast("string"), schema).alias("record"))
            .select("record.*")
            .writeStream.format("delta")
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start(path)
        )
        query.awaitTermination()
        return {"id": query.id, "batches": [p["batchId"] for p in query.recentProgress]}


serve(Spark())
