import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Java's clients, with which Spark reads Kafka, against a broker: bootstrap.servers. */
public class KafkaCalls {
	static final int PARTITIONS = 3;
	static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
	static final String run = UUID.randomUUID().toString().substring(0, 8); // topics and groups are this run's
	static final long at = System.currentTimeMillis() - 10_000;
	static String servers;
	static Admin admin;
	static int broker;
	static boolean embedded;

	static String name(String what) {
		return "java-" + run + "-" + what;
	}

	static void same(Object got, Object want) {
		if (!got.equals(want)) {
			throw new AssertionError("got " + got + ", want " + want);
		}
	}

	static <T> T get(Future<T> future) throws Exception {
		return future.get(30, java.util.concurrent.TimeUnit.SECONDS);
	}

	static Throwable refused(Class<? extends Throwable> kind, Callable<?> call) throws Exception {
		Object got;
		try {
			got = call.call();
		} catch (Throwable error) {
			Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
			for (Throwable c = cause; c != null; c = c.getCause()) {
				if (kind.isInstance(c)) {
					return c;
				}
			}
			throw new AssertionError("not refused by " + kind.getSimpleName(), cause);
		}
		throw new AssertionError("not refused by " + kind.getSimpleName() + ": " + got);
	}

	static void eventually(Callable<?> call, Object want) throws Exception {
		for (long end = System.nanoTime() + 60_000_000_000L;; Thread.sleep(100)) {
			Object got;
			try {
				got = call.call();
			} catch (ExecutionException | RebalanceInProgressException error) { // not there yet
				got = error;
			}
			if (got.equals(want)) {
				return;
			}
			if (System.nanoTime() > end) {
				throw new AssertionError("got " + got + ", want " + want);
			}
		}
	}

	static Map<String, Object> properties(Object... more) {
		Map<String, Object> p = new HashMap<>();
		p.put("bootstrap.servers", servers);
		for (int i = 0; i < more.length; i += 2) {
			p.put((String) more[i], more[i + 1]);
		}
		return p;
	}

	static KafkaProducer<String, String> producer(Object... more) {
		return new KafkaProducer<>(properties(more), new StringSerializer(), new StringSerializer());
	}

	static KafkaConsumer<String, String> consumer(Object... more) {
		Map<String, Object> p = properties("auto.offset.reset", "earliest", "enable.auto.commit", false);
		p.putAll(properties(more));
		return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
	}

	/** Reads so many records, and no more come with them. */
	static List<ConsumerRecord<String, String>> read(Consumer<String, String> from, int count) {
		List<ConsumerRecord<String, String>> records = new ArrayList<>();
		for (long end = System.nanoTime() + 60_000_000_000L; records.size() < count;) {
			if (System.nanoTime() > end) {
				throw new AssertionError("got " + records.size() + " records, want " + count);
			}
			from.poll(Duration.ofMillis(500)).forEach(records::add);
		}
		same(records.size(), count);
		return records;
	}

	static List<TopicPartition> partitions(String topic) {
		return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
	}

	static <T> T only(Collection<T> all) {
		same(all.size(), 1);
		return all.iterator().next();
	}

	public static void main(String[] arguments) throws Exception {
		servers = arguments[0];
		try (Admin a = Admin.create(properties())) {
			admin = a;
			cluster();
			String trips = name("trips");
			topics(trips);
			get(admin.createTopics(List.of(new NewTopic(trips + "-too", 1, (short) 1))).all());
			settings(trips);
			records(trips);
			offsets(trips);
			classicGroup(trips);
			consumerGroup(trips);
			shareGroup();
			transactions(trips);
			differences();
			get(admin.deleteTopics(List.of(trips, trips + "-too", name("ledger"), name("shared"))).all());
			refused(UnknownTopicOrPartitionException.class, () -> get(admin.deleteTopics(List.of(trips)).all()));
		}
		System.out.println("done");
	}

	static void cluster() throws Exception {
		DescribeClusterResult cluster = admin.describeCluster();
		Node node = only(get(cluster.nodes()));
		same(node.host() + ":" + node.port(), servers);
		same(get(cluster.controller()), node);
		broker = node.id();
		embedded = get(cluster.clusterId()).startsWith("lakekit-embedded");
		same(get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get("transaction.version").maxVersionLevel(), (short) 2);
		get(admin.describeAcls(AclBindingFilter.ANY).values());
		ClientQuotaEntity user = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, name("user")));
		get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(user, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 1e9))))).all());
		ClientQuotaFilter ofUser = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, name("user"))));
		eventually(() -> get(admin.describeClientQuotas(ofUser).entities()), Map.of(user, Map.of("consumer_byte_rate", 1e9)));
	}

	static void topics(String trips) throws Exception {
		NewTopic topic = new NewTopic(trips, 2, (short) 1).configs(Map.of("retention.ms", "86400000"));
		CreateTopicsResult made = admin.createTopics(List.of(topic));
		same(get(made.numPartitions(trips)), 2);
		same(get(made.replicationFactor(trips)), 1);
		ConfigEntry retention = get(made.config(trips)).get("retention.ms");
		same(List.of(retention.value(), retention.source()), List.of("86400000", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG));
		Uuid id = get(made.topicId(trips));
		eventually(() -> get(admin.listTopics().names()).contains(trips), true);
		refused(TopicExistsException.class, () -> get(admin.createTopics(List.of(topic)).all()));
		refused(InvalidTopicException.class, () -> get(admin.createTopics(List.of(new NewTopic("no name!", 1, (short) 1))).all()));
		refused(InvalidReplicationFactorException.class, () -> get(admin.createTopics(List.of(new NewTopic(name("x"), 1, (short) 3))).all()));
		refused(InvalidPartitionsException.class, () -> get(admin.createTopics(List.of(new NewTopic(name("x"), 0, (short) 1))).all()));
		refused(InvalidReplicaAssignmentException.class, () -> get(admin.createTopics(List.of(new NewTopic(name("x"), Map.of(0, List.of(broker + 99))))).all()));
		refused(InvalidConfigurationException.class, () -> get(admin.createTopics(List.of(new NewTopic(name("x"), 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all()));
		get(admin.createTopics(List.of(new NewTopic(name("x"), Optional.empty(), Optional.empty())), new CreateTopicsOptions().validateOnly(true)).all());

		get(admin.createPartitions(Map.of(trips, NewPartitions.increaseTo(PARTITIONS))).all());
		eventually(() -> get(admin.describeTopics(List.of(trips)).allTopicNames()).get(trips).partitions().size(), PARTITIONS);
		refused(InvalidPartitionsException.class, () -> get(admin.createPartitions(Map.of(trips, NewPartitions.increaseTo(1))).all()));
		TopicDescription described = get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id);
		same(described.name(), trips);
		same(described.partitions().stream().map(p -> List.of(p.leader().id(), p.replicas().size(), p.isr().size())).collect(Collectors.toSet()), Set.of(List.of(broker, 1, 1)));
		refused(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(List.of(name("none"))).allTopicNames()));

		TopicPartition first = new TopicPartition(trips, 0);
		same(get(admin.electLeaders(ElectionType.PREFERRED, Set.of(first)).partitions()).get(first).get().getClass(), ElectionNotNeededException.class);
		refused(InvalidReplicaAssignmentException.class, () -> get(admin.alterPartitionReassignments(Map.of(first, Optional.of(new NewPartitionReassignment(List.of(broker + 99))))).all()));
		refused(NoReassignmentInProgressException.class, () -> get(admin.alterPartitionReassignments(Map.of(first, Optional.empty())).all()));
		same(get(admin.listPartitionReassignments().reassignments()), Map.of());
	}

	static void settings(String trips) throws Exception {
		ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, trips);
		Callable<Config> config = () -> get(admin.describeConfigs(List.of(topic)).all()).get(topic);
		ConfigEntry size = config.call().get("max.message.bytes");
		same(List.of(size.value(), size.source(), size.isReadOnly()), List.of("1048588", ConfigEntry.ConfigSource.DEFAULT_CONFIG, false));
		for (AlterConfigOp op : List.of(
				new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000000"), AlterConfigOp.OpType.SET),
				new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND))) {
			get(admin.incrementalAlterConfigs(Map.of(topic, List.of(op))).all());
		}
		eventually(() -> List.of(config.call().get("max.message.bytes").value(), config.call().get("cleanup.policy").value()), List.of("2000000", "delete,compact"));
		get(admin.incrementalAlterConfigs(Map.of(topic, List.of(
				new AlterConfigOp(new ConfigEntry("max.message.bytes", ""), AlterConfigOp.OpType.DELETE),
				new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.SUBTRACT)))).all());
		eventually(() -> List.of(config.call().get("max.message.bytes").value(), config.call().get("cleanup.policy").value()), List.of("1048588", "delete"));
		for (ConfigEntry bad : List.of(new ConfigEntry("retention.ms", "soon"), new ConfigEntry("retention.msec", "1"))) {
			refused(InvalidConfigurationException.class, () -> get(admin.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(bad, AlterConfigOp.OpType.SET)))).all()));
		}
		ConfigResource self = new ConfigResource(ConfigResource.Type.BROKER, "" + broker);
		same(get(admin.describeConfigs(List.of(self)).all()).get(self).get("message.max.bytes").value(), "1048588");
		ConfigResource none = new ConfigResource(ConfigResource.Type.TOPIC, name("none"));
		refused(UnknownTopicOrPartitionException.class, () -> get(admin.describeConfigs(List.of(none)).all()));
	}

	static void records(String trips) throws Exception {
		Set<String> sent = new TreeSet<>();
		for (String codec : CODECS) {
			try (KafkaProducer<String, String> p = producer("compression.type", codec, "linger.ms", 20, "enable.idempotence", !codec.equals("gzip"), "acks", codec.equals("gzip") ? "1" : "all")) {
				same(p.partitionsFor(trips).size(), PARTITIONS);
				List<Future<RecordMetadata>> futures = new ArrayList<>();
				for (int n = 0; n < 300; n++) {
					List<Header> headers = List.of(new RecordHeader("codec", codec.getBytes(StandardCharsets.UTF_8)), new RecordHeader("null", (byte[]) null));
					futures.add(p.send(new ProducerRecord<>(trips, n % PARTITIONS, at + n, "" + n, (codec + " ").repeat(20), headers)));
				}
				for (int n = 0; n < 300; n++) {
					RecordMetadata m = get(futures.get(n));
					sent.add(m.partition() + " " + m.offset() + " " + (at + n) + " " + n + " " + codec);
				}
			}
		}
		try (KafkaConsumer<String, String> c = consumer()) {
			c.assign(partitions(trips));
			Set<String> got = new TreeSet<>();
			for (ConsumerRecord<String, String> r : read(c, 1500)) {
				String codec = new String(r.headers().lastHeader("codec").value(), StandardCharsets.UTF_8);
				same(r.value(), (codec + " ").repeat(20));
				same(r.timestampType(), TimestampType.CREATE_TIME);
				same(r.headers().lastHeader("null").value() == null, true);
				got.add(r.partition() + " " + r.offset() + " " + r.timestamp() + " " + r.key() + " " + codec);
			}
			same(got, sent);
		}
		try (KafkaProducer<String, String> p = producer("max.request.size", 10_000_000)) {
			refused(RecordTooLargeException.class, () -> get(p.send(new ProducerRecord<>(trips, "x".repeat(2_000_000)))));
			get(p.send(new ProducerRecord<>(trips, 0, at + 1000, null, (String) null))); // goes on; a null value is no empty one
		}
		LogDirDescription disk = only(get(admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker).values());
		same(disk.totalBytes().getAsLong() > disk.usableBytes().getAsLong(), true);
		same(disk.replicaInfos().get(new TopicPartition(trips, 0)).size() > 0, true);
	}

	static long offset(TopicPartition p, OffsetSpec spec, IsolationLevel level) throws Exception {
		return get(admin.listOffsets(Map.of(p, spec), new ListOffsetsOptions(level)).all()).get(p).offset();
	}

	static void offsets(String trips) throws Exception {
		List<TopicPartition> all = partitions(trips);
		TopicPartition first = all.get(0);
		try (KafkaConsumer<String, String> c = consumer()) {
			c.assign(all);
			same(c.beginningOffsets(all), Map.of(all.get(0), 0L, all.get(1), 0L, all.get(2), 0L));
			same(c.endOffsets(all), Map.of(all.get(0), 501L, all.get(1), 500L, all.get(2), 500L));
			OffsetAndTimestamp found = c.offsetsForTimes(Map.of(first, at + 150)).get(first);
			same(List.of(found.offset(), found.timestamp()), List.of(50L, at + 150));
			same(c.offsetsForTimes(Map.of(all.get(1), at + 10_000_000)).get(all.get(1)) == null, true);
			c.pause(all.subList(1, PARTITIONS));
			c.seek(first, found.offset());
			List<ConsumerRecord<String, String>> records = read(c, 451);
			same(records.get(0).offset(), 50L);
			same(records.get(450).value() == null && records.get(450).key() == null, true);
			same(c.currentLag(first).getAsLong(), 0L);
			c.resume(all);
			c.seekToEnd(all);
			same(c.position(all.get(2)), 500L);
		}
		same(offset(first, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED), 0L);
		same(offset(first, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED), 501L);
		same(offset(first, OffsetSpec.forTimestamp(at + 150), IsolationLevel.READ_UNCOMMITTED), 50L);
		same(offset(first, OffsetSpec.maxTimestamp(), IsolationLevel.READ_UNCOMMITTED), 500L);
		same(get(admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(10))).all()) == null, true);
		same(offset(first, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED), 10L);
		refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> get(admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(10_000))).all()));
		try (KafkaConsumer<String, String> c = consumer("auto.offset.reset", "none")) {
			c.assign(List.of(first));
			c.seek(first, 3);
			refused(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> read(c, 1));
		}
	}

	static ConsumerGroupDescription about(String group) throws Exception {
		return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
	}

	static Map<TopicPartition, Long> committed(String group) throws Exception {
		Map<TopicPartition, Long> offsets = new HashMap<>();
		get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).forEach((p, o) -> offsets.put(p, o.offset()));
		return offsets;
	}

	/** Two members read a topic by halves; the group is left without members. */
	static void twoMembers(String group, int count, GroupType type, Object... settings) throws Exception {
		same(committed(group), Map.of());
		List<KafkaConsumer<String, String>> members = List.of(consumer(settings), consumer(settings));
		List<Set<String>> got = List.of(new HashSet<>(), new HashSet<>());
		String trips = name("trips");
		members.get(0).subscribe(List.of(trips));
		if (type == GroupType.CONSUMER) {
			members.get(1).subscribe(new SubscriptionPattern(name("tri.s"))); // matched by the broker, as is all of a name
		} else {
			members.get(1).subscribe(java.util.regex.Pattern.compile(trips));
		}
		eventually(() -> {
			for (int n = 0; n < 2; n++) {
				for (ConsumerRecord<String, String> r : members.get(n).poll(Duration.ofMillis(100))) {
					got.get(n).add(r.partition() + " " + r.offset());
				}
			}
			Set<String> all = new HashSet<>(got.get(0));
			all.addAll(got.get(1));
			return List.of(all.size(), members.stream().map(m -> m.assignment().size()).sorted().toList());
		}, List.of(count, List.of(1, 2)));
		eventually(() -> {
			for (KafkaConsumer<String, String> m : members) {
				m.poll(Duration.ofMillis(100));
				m.commitSync(m.assignment().stream().collect(Collectors.toMap(p -> p, p -> new OffsetAndMetadata(400 + p.partition(), "read"))));
			}
			return about(group).groupState();
		}, GroupState.STABLE);
		ConsumerGroupDescription about = about(group);
		same(List.of(about.groupState(), about.members().size(), about.type()), List.of(GroupState.STABLE, 2, type));
		same(about.members().stream().flatMap(m -> m.assignment().topicPartitions().stream()).collect(Collectors.toSet()), Set.copyOf(partitions(trips)));
		GroupListing listed = only(get(admin.listGroups(ListGroupsOptions.forConsumerGroups().withTypes(Set.of(type))).all()).stream().filter(g -> g.groupId().equals(group)).toList());
		same(listed.type().get(), type);
		refused(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
		members.forEach(KafkaConsumer::close);
		eventually(() -> about(group).groupState(), GroupState.EMPTY);
		List<TopicPartition> all = partitions(trips);
		same(committed(group), Map.of(all.get(0), 400L, all.get(1), 401L, all.get(2), 402L));
		get(admin.alterConsumerGroupOffsets(group, Map.of(all.get(0), new OffsetAndMetadata(490))).all());
		get(admin.deleteConsumerGroupOffsets(group, Set.of(all.get(2))).all());
		same(committed(group), Map.of(all.get(0), 490L, all.get(1), 401L));
		get(admin.deleteConsumerGroups(List.of(group)).all());
		refused(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
		refused(GroupIdNotFoundException.class, () -> about(group));
	}

	static void classicGroup(String trips) throws Exception {
		String group = name("classic");
		twoMembers(group, 1491, GroupType.CLASSIC, "group.id", group, "heartbeat.interval.ms", 500,
				"partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
		KafkaConsumer<String, String> fixed = consumer("group.id", name("static"), "group.instance.id", "one");
		fixed.subscribe(List.of(trips));
		read(fixed, fixed.poll(Duration.ofSeconds(30)).isEmpty() ? 1 : 0);
		fixed.close(); // stays a member
		same(about(name("static")).members().iterator().next().groupInstanceId(), Optional.of("one"));
		get(admin.removeMembersFromConsumerGroup(name("static"), new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("one")))).all());
		eventually(() -> about(name("static")).members().size(), 0);
	}

	static void consumerGroup(String trips) throws Exception {
		String group = name("consumer");
		twoMembers(group, 1491, GroupType.CONSUMER, "group.id", group, "group.protocol", "consumer");
	}

	static void shareGroup() throws Exception {
		String topic = name("shared"), group = name("share");
		get(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all());
		ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
		get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all());
		try (KafkaProducer<String, String> p = producer()) {
			for (int n = 0; n < 10; n++) {
				get(p.send(new ProducerRecord<>(topic, "" + n)));
			}
		}
		Map<String, Object> settings = properties("group.id", group, "share.acknowledgement.mode", "explicit");
		try (KafkaShareConsumer<String, String> c = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
			c.subscribe(List.of(topic));
			Map<String, Integer> deliveries = new TreeMap<>();
			eventually(() -> {
				for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(500))) {
					int delivery = r.deliveryCount().get();
					deliveries.put(r.value(), delivery);
					c.acknowledge(r, r.value().equals("7") && delivery == 1 ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT);
				}
				c.commitSync();
				return deliveries.values().stream().mapToInt(n -> n).sum();
			}, 11);
			same(deliveries.get("7"), 2);
			ShareGroupDescription about = get(admin.describeShareGroups(List.of(group)).all()).get(group);
			same(List.of(about.groupState(), about.members().size()), List.of(GroupState.STABLE, 1));
		}
	}

	static void transactions(String trips) throws Exception {
		String ledger = name("ledger"), id = name("writer");
		get(admin.createTopics(List.of(new NewTopic(ledger, 1, (short) 1))).all());
		TopicPartition into = new TopicPartition(ledger, 0), from = new TopicPartition(trips, 1);
		try (KafkaProducer<String, String> writer = producer("transactional.id", id);
				KafkaConsumer<String, String> source = consumer("group.id", name("mover"))) {
			source.subscribe(List.of(trips));
			while (source.poll(Duration.ofSeconds(1)).isEmpty()) {
			}
			writer.initTransactions();
			writer.beginTransaction();
			writer.send(new ProducerRecord<>(ledger, "kept"));
			writer.sendOffsetsToTransaction(Map.of(from, new OffsetAndMetadata(77)), source.groupMetadata());
			writer.commitTransaction();
			eventually(() -> source.committed(Set.of(from)).get(from).offset(), 77L);
			writer.beginTransaction();
			get(writer.send(new ProducerRecord<>(ledger, "dropped")));
			TransactionDescription about = get(admin.describeTransactions(List.of(id)).all()).get(id);
			same(List.of(about.state(), about.topicPartitions()), List.of(TransactionState.ONGOING, Set.of(into)));
			ProducerState active = only(get(admin.describeProducers(List.of(into)).all()).get(into).activeProducers());
			same(List.of(active.producerId(), active.currentTransactionStartOffset().getAsLong()), List.of(about.producerId(), 2L));
			same(offset(into, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED), 2L);
			same(offset(into, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED), 3L);
			writer.abortTransaction();
			writer.beginTransaction();
			get(writer.send(new ProducerRecord<>(ledger, "fenced")));
			try (KafkaProducer<String, String> successor = producer("transactional.id", id)) {
				successor.initTransactions(); // ends the open transaction, and fences its writer
				refused(ProducerFencedException.class, () -> {
					writer.commitTransaction();
					return "committed";
				});
				successor.beginTransaction();
				successor.send(new ProducerRecord<>(ledger, "kept too"));
				successor.commitTransaction();
				get(admin.fenceProducers(List.of(id)).all());
				successor.beginTransaction();
				refused(ApiException.class, () -> get(successor.send(new ProducerRecord<>(ledger, "fenced again"))));
			}
		}
		same(get(admin.listTransactions().all()).stream().anyMatch(t -> t.transactionalId().equals(id)), true);
		refused(TransactionalIdNotFoundException.class, () -> get(admin.describeTransactions(List.of(name("none"))).all()));
		Map<String, List<String>> want = Map.of("read_committed", List.of("kept", "kept too"), "read_uncommitted", List.of("kept", "dropped", "fenced", "kept too"));
		for (String level : want.keySet()) {
			try (KafkaConsumer<String, String> c = consumer("isolation.level", level)) {
				c.assign(List.of(into));
				same(read(c, want.get(level).size()).stream().map(ConsumerRecord::value).toList(), want.get(level));
			}
		}
	}

	static Object validate(String setting, String value) throws Exception {
		NewTopic topic = new NewTopic(name("validated"), 1, (short) 1).configs(Map.of(setting, value));
		return get(admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all());
	}

	/** What Apache Kafka does and the embedded broker refuses, by name. */
	static void differences() throws Exception {
		Map<Class<? extends Throwable>, List<Callable<?>>> offered = Map.of(
				UnsupportedVersionException.class, List.of(
						() -> get(admin.describeMetadataQuorum().quorumInfo())), // there is none
				InvalidConfigurationException.class, List.of( // of settings that are not applied
						() -> validate("compression.type", "lz4"),
						() -> validate("message.timestamp.type", "LogAppendTime"),
						() -> validate("min.compaction.lag.ms", "60000")));
		for (var kind : offered.entrySet()) {
			for (Callable<?> call : kind.getValue()) {
				if (embedded) {
					refused(kind.getKey(), call);
				} else {
					call.call();
				}
			}
		}
	}
}
