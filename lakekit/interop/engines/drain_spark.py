"""Takes what is in a topic into a Delta table by Spark Structured Streaming, as a
benchmark, and says what the JVM has used: {"cpu": nanoseconds, "rss": bytes}.

drain_spark.py BOOTSTRAP_SERVERS TOPIC DIR
"""

import glob
import json
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

servers, topic, folder = sys.argv[1:]
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

LIB = os.path.join(os.path.dirname(sys.executable), "..", "..", "lib")
SETTINGS = {
    "spark.driver.extraClassPath": ":".join(glob.glob(os.path.join(LIB, "*.jar"))),
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.warehouse.dir": os.path.join(folder, "warehouse"),
}
SCHEMA = (
    "key TIMESTAMP, fare_amount DOUBLE, pickup_datetime TIMESTAMP, pickup_longitude DOUBLE, pickup_latitude DOUBLE,"
    " dropoff_longitude DOUBLE, dropoff_latitude DOUBLE, passenger_count INT"
)

builder = SparkSession.builder.master("local[2]")
for key, value in SETTINGS.items():
    builder = builder.config(key, value)
session = builder.getOrCreate()
session.sparkContext.setLogLevel("ERROR")
query = (
    session.readStream.format("kafka")
    .option("kafka.bootstrap.servers", servers)
    .option("subscribe", topic)
    .option("startingOffsets", "earliest")
    .option("maxOffsetsPerTrigger", 500_000)
    .load()
    .select(f.from_json(f.col("value").cast("string"), SCHEMA).alias("record"))
    .select("record.*")
    .writeStream.format("delta")
    .option("checkpointLocation", os.path.join(folder, "checkpoints", "taxi_record"))
    .trigger(availableNow=True)
    .start(os.path.join(folder, "delta", "taxi_record"))
)
query.awaitTermination()

jvm = session._jvm.java.lang
pid = jvm.ProcessHandle.current().pid()
cpu = jvm.ProcessHandle.current().info().totalCpuDuration().get().toNanos()
with open(f"/proc/{pid}/status", encoding="ascii") as status:
    rss = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
print(json.dumps({"cpu": cpu, "rss": rss}), file=answers, flush=True)
session.stop()
