"""Opens Spark with Delta and its Kafka source; the jars are those of pom.xml."""

import glob
import os
import sys

from pyspark.sql import SparkSession

LIB = os.path.join(os.path.dirname(sys.executable), "..", "..", "lib")
SETTINGS = {
    "spark.driver.extraClassPath": ":".join(glob.glob(os.path.join(LIB, "*.jar"))),
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
}


def open_session(settings):
    """SETTINGS hold where settings says nothing else."""
    builder = SparkSession.builder.master("local[2]")
    for key, value in {**SETTINGS, **settings}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
