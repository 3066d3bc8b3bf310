"""confluent-kafka, by librdkafka, against a broker of Kafka's protocol: bootstrap.servers."""
import sys
import time
import uuid

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

servers = sys.argv[1]
run = uuid.uuid4().hex[:8]  # topics and groups are this run's
admin = AdminClient({"bootstrap.servers": servers})


def name(what):
    return f"confluent-{run}-{what}"


def result(futures):
    (future,) = futures.values()
    return future.result(30)


def refused(code, call):
    try:
        call()
    except KafkaException as error:
        assert error.args[0].code() == code, error
        return error.args[0].str()
    raise AssertionError(f"not refused: {KafkaError(code)}")


def eventually(call, want):
    """Metadata of a cluster takes a moment."""
    deadline = time.monotonic() + 30
    while (got := call()) != want:
        assert time.monotonic() < deadline, (got, want)
        time.sleep(0.1)


# Cluster
cluster = admin.describe_cluster().result(30)
assert len(cluster.nodes) == 1 and cluster.cluster_id and cluster.controller is not None
host, port = servers.split(":")
assert (cluster.nodes[0].host, cluster.nodes[0].port) == (host, int(port))
broker = str(cluster.nodes[0].id)

# Topics
trips, other = name("trips"), name("other")
assert result(admin.create_topics([NewTopic(trips, 3, 1, config={"retention.ms": "315360000000"})])) is None
assert result(admin.create_topics([NewTopic(other, 1, 1)], validate_only=True)) is None
eventually(lambda: [t in admin.list_topics(timeout=30).topics for t in (trips, other)], [True, False])
refused(KafkaError.TOPIC_ALREADY_EXISTS, lambda: result(admin.create_topics([NewTopic(trips, 3, 1)])))
refused(KafkaError.TOPIC_EXCEPTION, lambda: result(admin.create_topics([NewTopic("no name!", 1, 1)])))
refused(KafkaError.INVALID_PARTITIONS, lambda: result(admin.create_topics([NewTopic(other, 0, 1)])))
refused(KafkaError.INVALID_REPLICATION_FACTOR, lambda: result(admin.create_topics([NewTopic(other, 1, 3)])))
refused(KafkaError.INVALID_CONFIG, lambda: result(admin.create_topics([NewTopic(other, 1, 1, config={"retention.ms": "soon"})])))
described = result(admin.describe_topics(TopicCollection([trips])))
assert described.name == trips and [(p.id, len(p.replicas), len(p.isr)) for p in described.partitions] == [(n, 1, 1) for n in range(3)]
refused(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: result(admin.describe_topics(TopicCollection([name("none")]))))
assert result(admin.create_partitions([NewPartitions(trips, 4)])) is None
eventually(lambda: len(result(admin.describe_topics(TopicCollection([trips]))).partitions), 4)
refused(KafkaError.INVALID_PARTITIONS, lambda: result(admin.create_partitions([NewPartitions(trips, 2)])))
refused(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: result(admin.create_partitions([NewPartitions(name("none"), 2)])))

# Settings
topic_configs = ConfigResource(ConfigResource.Type.TOPIC, trips)


def config(entry):
    return result(admin.describe_configs([topic_configs]))[entry].value


def alter(entry, value, operation=AlterConfigOpType.SET):
    change = ConfigEntry(entry, value, incremental_operation=operation)
    result(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, trips, incremental_configs=[change])]))


assert config("retention.ms") == "315360000000" and config("cleanup.policy") == "delete" and config("max.message.bytes") == "1048588"
alter("retention.ms", "630720000000")
eventually(lambda: config("retention.ms"), "630720000000")
alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
eventually(lambda: sorted(config("cleanup.policy").split(",")), ["compact", "delete"])
alter("cleanup.policy", "compact", AlterConfigOpType.SUBTRACT)
eventually(lambda: config("cleanup.policy"), "delete")
alter("max.message.bytes", "2000")
eventually(lambda: config("max.message.bytes"), "2000")
alter("max.message.bytes", None, AlterConfigOpType.DELETE)
eventually(lambda: config("max.message.bytes"), "1048588")
refused(KafkaError.INVALID_CONFIG, lambda: alter("retention.ms", "soon"))
refused(KafkaError.INVALID_CONFIG, lambda: alter("retention.msec", "1"))
settings = result(admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, broker)]))
assert settings["message.max.bytes"].value == "1048588", settings["message.max.bytes"]
refused(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: result(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name("none"))])))

# Records, by every codec
sent = {}


def delivered(error, message):
    assert error is None, error
    sent[message.value()] = (message.partition(), message.offset())


for codec in "none", "gzip", "snappy", "lz4", "zstd":
    producer = Producer({"bootstrap.servers": servers, "compression.type": codec, "enable.idempotence": codec != "none", "linger.ms": 50})
    for n in range(1000):
        value = f"{codec} {n} ".encode() * 20
        producer.produce(trips, value, key=str(n), partition=n % 4, headers={"codec": codec}, timestamp=1_700_000_000_000 + n, on_delivery=delivered)
    assert producer.flush(60) == 0
assert len(sent) == 5000 and {p for p, _ in sent.values()} == {0, 1, 2, 3}
errors = []
producer = Producer({"bootstrap.servers": servers, "message.max.bytes": 3_000_000})
producer.produce(trips, bytes(2_000_000), on_delivery=lambda error, _: errors.append(error.code()))
assert producer.flush(60) == 0 and errors == [KafkaError.MSG_SIZE_TOO_LARGE], errors


def read(topic, count, **settings):
    """Reads all of a topic, and waits for the end of its partitions."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": name("reader"), "enable.auto.commit": False, "enable.partition.eof": True, **settings})
    partitions = [TopicPartition(topic, p, 0) for p in range(count)]
    consumer.assign(partitions)
    ends, messages = set(), []
    deadline = time.monotonic() + 60
    while len(ends) < count:
        assert time.monotonic() < deadline, (ends, len(messages))
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ends.add(message.partition())
        else:
            messages.append(message)
    consumer.close()
    return messages


messages = read(trips, 4)
assert {m.value(): (m.partition(), m.offset()) for m in messages} == sent
assert all(m.timestamp() == (1, 1_700_000_000_000 + int(m.key())) and m.headers() == [("codec", m.value().split()[0])] for m in messages)

# Offsets
consumer = Consumer({"bootstrap.servers": servers, "group.id": name("reader")})
watermarks = consumer.get_watermark_offsets(TopicPartition(trips, 0), timeout=30)
assert watermarks == (0, 1250), watermarks
found = consumer.offsets_for_times([TopicPartition(trips, 0, 1_700_000_000_500), TopicPartition(trips, 1, 1_800_000_000_000)], timeout=30)
assert [p.offset for p in found] == [125, -1], found
consumer.close()
first, last = TopicPartition(trips, 2), TopicPartition(trips, 3)
assert result(admin.list_offsets({first: OffsetSpec.earliest()})).offset == 0
assert result(admin.list_offsets({last: OffsetSpec.latest()})).offset == 1250
assert result(admin.list_offsets({last: OffsetSpec.for_timestamp(1_700_000_000_999)})).offset == 249
newest = result(admin.list_offsets({last: OffsetSpec.max_timestamp()}))
assert newest.timestamp == 1_700_000_000_999, newest
assert result(admin.delete_records([TopicPartition(trips, 0, 100)])).low_watermark == 100
assert result(admin.list_offsets({TopicPartition(trips, 0): OffsetSpec.earliest()})).offset == 100
refused(KafkaError.OFFSET_OUT_OF_RANGE, lambda: result(admin.delete_records([TopicPartition(trips, 0, 9999)])))
refused(KafkaError._NOENT, lambda: result(admin.delete_records([TopicPartition(name("none"), 0, 1)])))
assert len(read(trips, 4, **{"auto.offset.reset": "earliest"})) == 4900

# Groups
for protocol in "classic", "consumer":
    group = name(protocol)
    members = [Consumer({"bootstrap.servers": servers, "group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False}) for _ in range(2)]
    got = [0, 0]
    for member in members:
        member.subscribe([trips])
    deadline = time.monotonic() + 90
    while sum(got) < 4900 or any(len(member.assignment()) != 2 for member in members):
        assert time.monotonic() < deadline, (protocol, got, [m.assignment() for m in members])
        for i, member in enumerate(members):
            for message in member.consume(500, timeout=0.2):
                assert message.error() is None, message.error()
                got[i] += 1
    for member in members:
        member.commit(offsets=[TopicPartition(trips, p.partition, 1250) for p in member.assignment()], asynchronous=False)
    eventually(lambda: result(admin.describe_consumer_groups([group])).state.name, "STABLE")
    listed = {g.group_id: g for g in admin.list_consumer_groups().result(30).valid}
    assert listed[group].state.name == "STABLE", listed[group].state
    assert listed[group].type == (ConsumerGroupType.CONSUMER if protocol == "consumer" else ConsumerGroupType.CLASSIC), listed[group].type
    about = result(admin.describe_consumer_groups([group]))
    assert about.state.name == "STABLE" and len(about.members) == 2, about
    assert sorted(p.partition for m in about.members for p in m.assignment.topic_partitions) == [0, 1, 2, 3]
    refused(KafkaError.NON_EMPTY_GROUP, lambda: result(admin.delete_consumer_groups([group])))
    for member in members:
        member.close()
    eventually(lambda: result(admin.describe_consumer_groups([group])).state.name, "EMPTY")
    committed = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    assert sorted((p.partition, p.offset) for p in committed.topic_partitions) == [(p, 1250) for p in range(4)], committed.topic_partitions
    moved = ConsumerGroupTopicPartitions(group, [TopicPartition(trips, 1, 7)])
    result(admin.alter_consumer_group_offsets([moved]))
    back = Consumer({"bootstrap.servers": servers, "group.id": group})
    assert [p.offset for p in back.committed([TopicPartition(trips, p) for p in (0, 1)], timeout=30)] == [1250, 7]
    back.close()
    result(admin.delete_consumer_groups([group]))
    eventually(lambda: group in {g.group_id for g in admin.list_consumer_groups().result(30).valid}, False)
    refused(KafkaError.GROUP_ID_NOT_FOUND, lambda: result(admin.delete_consumer_groups([group])))

# Transactions
ledger = name("ledger")
result(admin.create_topics([NewTopic(ledger, 1, 1)]))
source = Consumer({"bootstrap.servers": servers, "group.id": name("mover"), "enable.auto.commit": False, "auto.offset.reset": "earliest"})
source.subscribe([trips])
while (message := source.poll(1)) is None:
    pass
writer = Producer({"bootstrap.servers": servers, "transactional.id": name("writer")})
writer.init_transactions(30)
writer.begin_transaction()
writer.produce(ledger, b"kept 1")
writer.produce(ledger, b"kept 2")
writer.send_offsets_to_transaction([TopicPartition(trips, message.partition(), message.offset() + 1)], source.consumer_group_metadata(), 30)
writer.commit_transaction(30)
writer.begin_transaction()
writer.produce(ledger, b"dropped")
writer.flush(30)
writer.abort_transaction(30)
writer.begin_transaction()
writer.produce(ledger, b"open")
writer.flush(30)
assert [p.offset for p in source.committed([TopicPartition(trips, message.partition())], timeout=30)] == [message.offset() + 1]
source.close()
assert [m.value() for m in read(ledger, 1, **{"isolation.level": "read_committed"})] == [b"kept 1", b"kept 2"]
assert [m.value() for m in read(ledger, 1, **{"isolation.level": "read_uncommitted"})] == [b"kept 1", b"kept 2", b"dropped", b"open"]
stable = admin.list_offsets({TopicPartition(ledger, 0): OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_COMMITTED)
assert result(stable).offset == 5  # two records, their marker, one record, its marker
successor = Producer({"bootstrap.servers": servers, "transactional.id": name("writer")})
successor.init_transactions(30)  # ends the open one, and fences its writer
assert refused(KafkaError._FENCED, lambda: writer.commit_transaction(30))
successor.begin_transaction()
successor.produce(ledger, b"kept 3")
successor.commit_transaction(30)
assert [m.value() for m in read(ledger, 1, **{"isolation.level": "read_committed"})] == [b"kept 1", b"kept 2", b"kept 3"]

# The end
for topic in trips, ledger:
    assert result(admin.delete_topics([topic])) is None
eventually(lambda: [t in admin.list_topics(timeout=30).topics for t in (trips, ledger)], [False, False])
refused(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: result(admin.delete_topics([trips])))
print("done")
