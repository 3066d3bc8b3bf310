package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

// onEachSecureCluster runs the test on clusters that have users and ACLs: with
// an admin, who may do everything, and the settings that a SCRAM user needs
// besides name and password. Prefix is of users and topics, the test's own.
func onEachSecureCluster(t *testing.T, test func(t *testing.T, admin, users kafka.Config, prefix string)) {
	scram := func(addr, protocol string) kafka.Config {
		return kafka.Config{"bootstrap.servers": addr, "security.protocol": protocol, "sasl.mechanisms": "SCRAM-SHA-512"}
	}
	run := func(t *testing.T, admin, users kafka.Config) {
		prefix := newPrefix()
		t.Cleanup(func() { deleteTopics(t, admin, prefix) })
		test(t, admin, users, prefix)
	}
	t.Run("embedded", func(t *testing.T) {
		addr := startBrokerWith(t, broker.Options{Users: []broker.User{boss}})
		run(t, login(addr, "SASL_PLAINTEXT", boss), scram(addr, "SASL_PLAINTEXT"))
	})
	t.Run("embedded TLS", func(t *testing.T) {
		ca := newAuthority(t)
		addr := startBrokerWith(t, broker.Options{Users: []broker.User{boss}, TLS: ca.server(t, "127.0.0.1")})
		trusting := kafka.Config{"ssl.ca.location": ca.file}
		run(t, with(trusting, login(addr, "SASL_SSL", boss)), with(trusting, scram(addr, "SASL_SSL")))
	})
	t.Run("real", func(t *testing.T) {
		admin := kafka.Config{"bootstrap.servers": realAddress(t, "LAKEKIT_REAL_KAFKA")}
		run(t, admin, scram(realAddress(t, "LAKEKIT_REAL_KAFKA_SASL"), "SASL_PLAINTEXT"))
	})
	t.Run("real TLS", func(t *testing.T) {
		addr := realAddress(t, "LAKEKIT_REAL_KAFKA_SASL_SSL")
		trusting := kafka.Config{"ssl.ca.location": realAddress(t, "LAKEKIT_REAL_KAFKA_CA")}
		root := broker.User{Mechanism: broker.Plain, Name: realAddress(t, "LAKEKIT_REAL_KAFKA_USERNAME"), Password: realAddress(t, "LAKEKIT_REAL_KAFKA_PASSWORD")}
		run(t, with(trusting, login(addr, "SASL_SSL", root)), with(trusting, scram(addr, "SASL_SSL")))
	})
}

func as(users kafka.Config, name, password string) kafka.Config {
	return with(users, kafka.Config{"sasl.username": name, "sasl.password": password})
}

func TestStudentsHaveTheirOwnTopicsOnly(t *testing.T) {
	onEachSecureCluster(t, func(t *testing.T, admin, users kafka.Config, prefix string) {
		teacher := newAdmin(t, admin)
		students := map[string]kafka.Config{}
		for _, name := range []string{"alice", "bob"} {
			user := prefix + name
			if err := teacher.CreateUser(t.Context(), user, name+"-s3cret"); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a second time changes nothing
				if err := teacher.AllowPrefix(t.Context(), user, user+"."); err != nil {
					t.Fatal(err)
				}
			}
			students[name] = as(users, user, name+"-s3cret")
		}
		const records = 1_000
		own := func(name string) string { return prefix + name + ".nyc_taxi_data" }
		for name, c := range students {
			topic, a := own(name), newAdmin(t, c)
			if _, err := a.CreateTopic(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 3, Configs: map[string]string{"retention.ms": "600000"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := kafka.Produce(t.Context(), c, newNumbered(records, 100), kafka.ProduceOptions{Topic: topic}); err != nil {
				t.Fatal(err)
			}
			checkExactlyOnce(t, countKeys(t, c, topic, records), records)
			if _, err := a.Cluster(t.Context()); err != nil {
				t.Error(err)
			}
			for _, check := range kafka.Diagnose(t.Context(), c, topic) {
				if !check.OK {
					t.Errorf("%+v", check)
				}
			}
		}

		alice := students["alice"]
		a := newAdmin(t, alice)
		topics, err := a.Topics(t.Context())
		if err != nil || len(topics) != 1 || topics[0].Name != own("alice") {
			t.Errorf("alice sees %v (%v), want her own topic", topics, err)
		}
		others := own("bob")
		for name, call := range map[string]func(context.Context) error{
			"describe": func(ctx context.Context) error { _, err := a.DescribeTopic(ctx, others); return err },
			"create": func(ctx context.Context) error {
				_, err := a.CreateTopic(ctx, kafka.TopicSpec{Name: prefix + "bob.more"})
				return err
			},
			"delete": func(ctx context.Context) error { return a.DeleteTopic(ctx, others) },
			"browse": func(ctx context.Context) error {
				_, err := kafka.Browse(ctx, alice, others, kafka.BrowseOptions{})
				return err
			},
			"scan": func(ctx context.Context) error {
				return kafka.Scan(ctx, alice, others, nil, func(api.Message) error { t.Error("a message of bob's"); return nil })
			},
			"produce": func(ctx context.Context) error {
				_, err := kafka.Produce(ctx, alice, newNumbered(1, 1), kafka.ProduceOptions{Topic: others})
				return err
			},
			"create user":  func(ctx context.Context) error { return a.CreateUser(ctx, prefix+"eve", "s3cret") },
			"allow prefix": func(ctx context.Context) error { return a.AllowPrefix(ctx, prefix+"alice", prefix+"bob.") },
		} {
			if err := call(t.Context()); !errors.Is(err, kafka.ErrNotAllowed) || !strings.Contains(err.Error(), "KAFKA_SASL_USERNAME") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v, want it not allowed", name, err)
			}
		}
		if info, err := teacher.DescribeTopic(t.Context(), others); err != nil || info.Records() != records {
			t.Errorf("bob's topic has %d records (%v), want %d", info.Records(), err, records)
		}
		checks := kafka.Diagnose(t.Context(), alice, others)
		if last := checks[len(checks)-1]; last.OK || last.Name != "topic" {
			t.Errorf("diagnosis of bob's topic for alice: %+v", checks)
		}
		if err := a.DeleteTopic(t.Context(), own("alice")); err != nil {
			t.Error(err)
		}
		topics, err = teacher.Topics(t.Context())
		if err != nil || slices.ContainsFunc(topics, func(i api.TopicInfo) bool { return i.Name == own("alice") }) {
			t.Errorf("topics %v (%v), want alice's deleted", topics, err)
		}
	})
}

func TestCreateUserAgainChangesThePassword(t *testing.T) {
	onEachSecureCluster(t, func(t *testing.T, admin, users kafka.Config, prefix string) {
		teacher := newAdmin(t, admin)
		user := prefix + "alice"
		for _, password := range []string{"first", "second"} {
			if err := teacher.CreateUser(t.Context(), user, password); err != nil {
				t.Fatal(err)
			}
		}
		if err := teacher.AllowPrefix(t.Context(), user, user+"."); err != nil {
			t.Fatal(err)
		}
		if _, err := newAdmin(t, as(users, user, "second")).Cluster(t.Context()); err != nil {
			t.Errorf("the second password: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the embedded broker hangs up, which may pass
		defer cancel()
		if _, err := newAdmin(t, as(users, user, "first")).Cluster(ctx); err == nil {
			t.Error("the first password still is good")
		}
	})
}

// Of a right that is not there only the work itself tells: a producer's first
// request or a consumer's.
func TestReadersDoNotWriteNorWritersRead(t *testing.T) {
	onEachSecureCluster(t, func(t *testing.T, admin, users kafka.Config, prefix string) {
		teacher := newAdmin(t, admin)
		topic := prefix + "shared"
		createTopic(t, admin, topic, 1)
		if _, err := kafka.Produce(t.Context(), admin, newNumbered(10, 10), kafka.ProduceOptions{Topic: topic}); err != nil {
			t.Fatal(err)
		}
		for _, right := range []confluent.ACLOperation{confluent.ACLOperationRead, confluent.ACLOperationWrite} {
			user := prefix + right.String()
			if err := teacher.CreateUser(t.Context(), user, "s3cret"); err != nil {
				t.Fatal(err)
			}
			allow(t, admin, user, topic, right, confluent.ACLOperationDescribe, confluent.ACLOperationDescribeConfigs)
			c := as(users, user, "s3cret")
			_, readErr := kafka.Browse(t.Context(), c, topic, kafka.BrowseOptions{})
			p, writeErr := kafka.Produce(t.Context(), c, newNumbered(10, 10), kafka.ProduceOptions{Topic: topic})
			good, refused := readErr, writeErr
			if right == confluent.ACLOperationWrite {
				good, refused = writeErr, readErr
			} else if p.State != api.TrafficFailed || p.Acknowledged > 0 {
				t.Errorf("progress of a reader %+v", p)
			}
			if strings.Contains(t.Name(), "/embedded") && right == confluent.ACLOperationWrite {
				refused = kafka.ErrNotAllowed // kfake refuses with high watermark 0, which librdkafka takes for the end
			}
			if good != nil || !errors.Is(refused, kafka.ErrNotAllowed) {
				t.Errorf("with the right to %s: read %v, write %v", right, readErr, writeErr)
			}
			checks := kafka.Diagnose(t.Context(), c, topic)
			if last := checks[len(checks)-1]; last.OK || last.Name != "write and read" || !strings.Contains(last.Hint, "ACL") {
				t.Errorf("diagnosis with the right to %s: %+v", right, last)
			}
		}
	})
}

func allow(t *testing.T, admin kafka.Config, user, topic string, operations ...confluent.ACLOperation) {
	t.Helper()
	config := confluent.ConfigMap{}
	for key, value := range admin {
		config[key] = value
	}
	client, err := confluent.NewAdminClient(&config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	binding := confluent.ACLBinding{
		Type: confluent.ResourceTopic, Name: topic, ResourcePatternType: confluent.ResourcePatternTypeLiteral,
		Principal: "User:" + user, Host: "*", PermissionType: confluent.ACLPermissionTypeAllow,
	}
	var bindings confluent.ACLBindings
	for _, binding.Operation = range operations {
		bindings = append(bindings, binding)
	}
	answers, err := client.CreateACLs(t.Context(), bindings)
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range answers {
		if answer.Error.Code() != confluent.ErrNoError {
			t.Fatal(answer.Error)
		}
	}
	filter := binding
	filter.Operation = confluent.ACLOperationAny
	for { // until the broker has learnt of them
		known, err := client.DescribeACLs(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if len(known.ACLBindings) >= len(bindings) {
			return
		}
	}
}

func TestUserNames(t *testing.T) {
	a := newAdmin(t, kafka.Config{"bootstrap.servers": "127.0.0.1:1"}) // is not asked
	for _, name := range []string{"", "*", "a b", "a,b", "a=b", "ä", strings.Repeat("a", 250)} {
		for call, err := range map[string]error{
			"user":         a.CreateUser(t.Context(), name, "s3cret"),
			"allowed user": a.AllowPrefix(t.Context(), name, "alice."),
			"prefix":       a.AllowPrefix(t.Context(), "alice", name),
		} {
			if !errors.Is(err, kafka.ErrUserName) {
				t.Errorf("%s %q: %v", call, name, err)
			}
		}
	}
	if err := a.CreateUser(t.Context(), "alice", ""); err == nil || !strings.Contains(err.Error(), "password is empty") {
		t.Errorf("no password: %v", err)
	}
}
