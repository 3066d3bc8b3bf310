"""kafka-python, which speaks the protocol by itself, against a broker: bootstrap.servers."""
import sys
import threading
import time
import uuid

import kafka.errors as errors
from kafka import IsolationLevel, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka.admin import ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, AlterConfigOp, ConfigResource, ConfigResourceType, MemberToRemove, OffsetTimestamp, ResourcePatternFilter, ResourceType

servers = sys.argv[1]
run = uuid.uuid4().hex[:8]  # topics and groups are this run's
admin = KafkaAdminClient(bootstrap_servers=servers)


def name(what):
    return f"kafka-python-{run}-{what}"


def refused(kind, call):
    try:
        got = call()
    except kind:
        return
    raise AssertionError(f"not refused by {kind.__name__}: {got}")


def eventually(call, want):
    """Metadata of a cluster takes a moment, and so does a new Kafka's topic of groups."""
    deadline = time.monotonic() + 30
    while True:
        try:
            got = call()
        except (errors.CoordinatorNotAvailableError, errors.CoordinatorLoadInProgressError) as error:
            got = error
        if got == want:
            return
        assert time.monotonic() < deadline, (got, want)
        time.sleep(0.1)


def consumer(**settings):
    return KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False, **settings)


def read(source, count):
    """Reads so many records."""
    records, deadline = [], time.monotonic() + 60
    while len(records) < count:
        assert time.monotonic() < deadline, (len(records), count)
        for batch in source.poll(timeout_ms=1000).values():
            records.extend(batch)
    assert len(records) == count, (len(records), count)
    return records


# Cluster
cluster = admin.describe_cluster()
assert [(b["host"], b["port"]) for b in cluster["brokers"]] == [(servers.split(":")[0], int(servers.split(":")[1]))], cluster
broker = cluster["controller_id"]
finalized = {feature: about.get("finalized") for feature, about in admin.describe_features().items()}
assert finalized["group.version"] == (1, 1) and finalized["transaction.version"] == (2, 2), finalized

# Topics
trips, placed = name("trips"), name("placed")
(made,) = admin.create_topics({trips: {"num_partitions": 2, "replication_factor": 1, "configs": {"max.message.bytes": "2000000"}}}, wait_for_metadata=True)["topics"]
assert made["num_partitions"] == 2 and made["configs"]["max.message.bytes"]["value"] == "2000000", made
assert made["configs"]["max.message.bytes"]["config_source"] == "DYNAMIC_TOPIC_CONFIG", made
admin.create_topics({placed: {"assignments": {0: [broker], 1: [broker]}}}, wait_for_metadata=True)
refused(errors.TopicAlreadyExistsError, lambda: admin.create_topics([trips]))
refused(errors.InvalidReplicationAssignmentError, lambda: admin.create_topics({name("nowhere"): {"assignments": {0: [broker + 99]}}}))
refused(errors.InvalidReplicationFactorError, lambda: admin.create_topics({name("three"): {"num_partitions": 1, "replication_factor": 3}}))
refused(errors.InvalidTopicError, lambda: admin.create_topics(["no name!"]))
admin.create_partitions({trips: 3})
eventually(lambda: [len(t["partitions"]) for t in admin.describe_topics([trips])], [3])
(placed_on,) = admin.describe_topics([placed])
assert [p["replica_nodes"] for p in placed_on["partitions"]] == [[broker], [broker]] and placed_on["topic_id"], placed_on
assert {trips, placed} <= set(admin.list_topics())

# Partitions stay on the one broker
first = TopicPartition(trips, 0)
election = admin.elect_leaders(0, {trips: [0]}, raise_errors=False).replica_election_results
assert [p.error_code for t in election for p in t.partition_result] == [errors.ElectionNotNeededError.errno], election
assert admin.alter_partition_reassignments({first: [broker + 99]}) == {first: errors.InvalidReplicationAssignmentError}
assert admin.list_partition_reassignments() == {}

# Settings
settings = ConfigResource(ConfigResourceType.TOPIC, trips)


def config(entry):
    return admin.describe_configs([settings], config_filter="all")["topic"][trips][entry]["value"]


def alter(configs, **how):
    return admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, trips, configs)], **how)["topic"][trips]


assert alter({"segment.bytes": "3000000"}) == "OK"
eventually(lambda: config("segment.bytes"), "3000000")
assert alter({"delete.retention.ms": "5000"}, incremental=False) == "OK"  # sends all the others again
eventually(lambda: [config("delete.retention.ms"), config("segment.bytes"), config("max.message.bytes")], ["5000", "3000000", "2000000"])
assert alter({"cleanup.policy": (AlterConfigOp.APPEND, "compact")}, validate_only=True) == "OK"
assert config("cleanup.policy") == "delete"
assert "InvalidConfiguration" in alter({"max.message.bytes": "many"})
assert admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, trips, ["max.message.bytes"])])["topic"][trips] == "OK"
eventually(lambda: config("max.message.bytes"), "1048588")
assert trips in admin.list_config_resources()["topic"]

# Records, by every codec
at = int(time.time() * 1000) - 10_000
for codec in None, "gzip", "snappy", "lz4", "zstd":
    producer = KafkaProducer(bootstrap_servers=servers, compression_type=codec, enable_idempotence=codec != "gzip", acks=1 if codec == "gzip" else "all", linger_ms=20)
    sent = [producer.send(trips, f"{codec} {n}".encode() * 20, key=str(n).encode(), headers=[("codec", str(codec).encode()), ("none", b"")], partition=n % 3, timestamp_ms=at + n) for n in range(300)]
    assert {f.get(30).partition for f in sent} == {0, 1, 2}
    producer.close()
source = consumer()
partitions = [TopicPartition(trips, p) for p in range(3)]
source.assign(partitions)
records = read(source, 1500)
assert sorted(r.value for r in records) == sorted(f"{codec} {n}".encode() * 20 for codec in (None, "gzip", "snappy", "lz4", "zstd") for n in range(300))
assert all(r.timestamp == at + int(r.key) and r.timestamp_type == 0 and r.headers == [("codec", r.value.split()[0]), ("none", b"")] for r in records), records[0]
logs = [d for b in admin.describe_log_dirs([trips]) for d in b["log_dirs"]]
assert len(logs) == 1 and 0 < logs[0]["usable_bytes"] < logs[0]["total_bytes"], logs
assert all(p["partition_size"] > 0 for t in logs[0]["topics"] for p in t["partitions"]), logs

# Offsets and seeks
assert source.beginning_offsets(partitions) == dict.fromkeys(partitions, 0) and source.end_offsets(partitions) == dict.fromkeys(partitions, 500)
found = source.offsets_for_times({first: at + 150, partitions[1]: at + 10_000_000})
assert (found[first].offset, found[first].timestamp, found[partitions[1]]) == (50, at + 150, None), found
source.seek(first, found[first].offset)
source.pause(*partitions[1:])
assert [r.offset for r in read(source, 450)] == list(range(50, 500))
source.resume(*partitions[1:])
source.seek_to_end(*partitions)
assert source.position(first) == 500 and not source.poll(timeout_ms=300)
source.close()
offsets = admin.list_partition_offsets({first: OffsetSpec.LATEST, partitions[1]: OffsetSpec.EARLIEST, partitions[2]: OffsetTimestamp(at + 100)})
assert [offsets[p].offset for p in partitions] == [500, 0, 33], offsets
assert admin.delete_records({first: 10})[first]["low_watermark"] == 10
refused(errors.OffsetOutOfRangeError, lambda: admin.delete_records({first: 10_000}))
late = consumer()
late.assign([first])
late.seek(first, 3)  # not there any more: auto.offset.reset
assert read(late, 490)[0].offset == 10
late.close()

# Groups
group, one = name("group"), name("one")
eventually(lambda: admin.list_group_offsets(group), {group: {}})
alone = consumer(group_id=group)
assert alone.committed(first) is None
alone.close()
refused(errors.UnknownTopicOrPartitionError, lambda: admin.list_partition_offsets({TopicPartition(name("none"), 0): OffsetSpec.LATEST}))
members = [consumer(group_id=group, group_instance_id=str(n), client_id=f"member-{n}") for n in range(2)]
got, stop = [[], []], threading.Event()


def work(n):
    members[n].subscribe(pattern=f"^{trips}$")
    while not stop.is_set():
        got[n].extend(r for batch in members[n].poll(timeout_ms=100).values() for r in batch)
        try:
            members[n].commit({p: OffsetAndMetadata(members[n].position(p), "read", -1) for p in members[n].assignment()})
        except errors.RebalanceInProgressError:
            pass


threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(2)]
for thread in threads:
    thread.start()


def about():
    return admin.describe_groups([group])[group]


eventually(lambda: (about()["group_state"], sorted(m["client_id"] for m in about()["members"])), ("Stable", ["member-0", "member-1"]))
eventually(lambda: len({(r.partition, r.offset) for r in got[0] + got[1]}), 1490)
eventually(lambda: sorted(len(m.assignment()) for m in members), [1, 2])
eventually(lambda: {p: (o.offset, o.metadata) for p, o in admin.list_group_offsets(group)[group].items()}, dict.fromkeys(partitions, (500, "read")))
listed = {g["group_id"]: g for g in admin.list_groups()}
assert listed[group]["protocol_type"] == "consumer" and listed[group]["group_type"].lower() == "classic", listed
assert admin.delete_groups([group]) == {group: "NonEmptyGroupError"}
stop.set()
for thread in threads:
    thread.join()
for member in members:
    member.close()  # as static ones, they stay members
assert set(admin.remove_group_members(group, [MemberToRemove(group_instance_id=str(n)) for n in range(2)]).values()) == {errors.NoError}
eventually(lambda: about()["group_state"], "Empty")
assert admin.alter_group_offsets(group, {first: OffsetAndMetadata(490, "", -1)}) == {first: errors.NoError}
back = admin.reset_group_offsets(group, {partitions[1]: OffsetSpec.EARLIEST, partitions[2]: OffsetTimestamp(at + 100)})
assert [back[p]["offset"] for p in partitions[1:]] == [0, 33], back
assert admin.delete_group_offsets(group, [partitions[2]]) == {partitions[2]: errors.NoError}
assert {p.partition: o.offset for p, o in admin.list_group_offsets(group)[group].items()} == {0: 490, 1: 0}
again = consumer(group_id=group)
again.subscribe([trips])
assert len(read(again, 10 + 500 + 500)) == 1010
again.close()
assert admin.delete_groups([group]) == {group: "OK"} and admin.delete_groups([group]) == {group: "GroupIdNotFoundError"}

# Transactions
writer = KafkaProducer(bootstrap_servers=servers, transactional_id=name("writer"))
writer.init_transactions()
mover = consumer(group_id=name("mover"))
mover.subscribe([trips])
while not mover.poll(timeout_ms=1000):
    pass
writer.begin_transaction()
writer.send(placed, b"kept", partition=0)
writer.send(placed, b"kept too", partition=1)
writer.send_offsets_to_transaction({first: OffsetAndMetadata(77, "", -1)}, mover.group_metadata())
writer.commit_transaction()
eventually(lambda: mover.committed(first), 77)
mover.close()
writer.begin_transaction()
writer.send(placed, b"dropped", partition=0)
writer.flush()
under_way = admin.describe_transactions([name("writer")])[name("writer")]
assert under_way.state == "Ongoing" and under_way.topic_partitions == {TopicPartition(placed, 0)}, under_way
(active,) = admin.describe_producers([TopicPartition(placed, 0)])[TopicPartition(placed, 0)].active_producers
assert active.producer_id == under_way.producer_id and active.current_transaction_start_offset == 2, active
assert admin.list_partition_offsets({TopicPartition(placed, 0): OffsetSpec.LATEST}, isolation_level=IsolationLevel.READ_COMMITTED)[TopicPartition(placed, 0)].offset == 2
writer.abort_transaction()
writer.begin_transaction()
writer.send(placed, b"kept as well", partition=0)
writer.commit_transaction()
for level, want in ("read_committed", [b"kept", b"kept as well"]), ("read_uncommitted", [b"kept", b"dropped", b"kept as well"]):
    source = consumer(isolation_level=level)
    source.assign([TopicPartition(placed, 0)])
    assert [r.value for r in read(source, len(want))] == want
    source.close()
assert name("writer") in {t.transactional_id for listings in admin.list_transactions().values() for t in listings}
writer.close()

# The end
admin.delete_topics([trips, placed])
eventually(lambda: {trips, placed} & set(admin.list_topics()), set())
refused(errors.UnknownTopicOrPartitionError, lambda: admin.delete_topics([trips]))
print("done")
