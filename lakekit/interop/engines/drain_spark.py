"""Takes what is in a topic into a Delta table by Spark Structured Streaming, as a
benchmark, and says what the JVM has used: {"cpu": nanoseconds, "rss": bytes}.

drain_spark.py BOOTSTRAP_SERVERS TOPIC DIR
"""

import json
import os
import sys

from pyspark.sql import functions as f

from spark_session import open_session

servers, topic, folder = sys.argv[1:]
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

SCHEMA = (
    "key TIMESTAMP, fare_amount DOUBLE, pickup_datetime TIMESTAMP, pickup_longitude DOUBLE, pickup_latitude DOUBLE,"
    " dropoff_longitude DOUBLE, dropoff_latitude DOUBLE, passenger_count INT"
)

session = open_session(
    {
        "spark.driver.memory": "2g",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.warehouse.dir": os.path.join(folder, "warehouse"),
    }
)
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
