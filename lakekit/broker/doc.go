// Package broker runs an embedded Kafka broker on the local disk, for a
// laptop without Docker or Java. It serves the real protocol: any client
// connects to it as to a Kafka cluster of one broker.
//
// The broker is kfake of the franz-go project, which is made for tests. This
// package adds what keeping data needs: a lock on the folder, retention on
// every topic, Kafka's own refusal of bad topic names and settings, producers
// that wait while the disk is full (KAFKA_STORAGE_ERROR), and idempotent ones
// that survive a kill of the broker; and it gives Kafka's answers where kfake's
// are others that clients act on (answers.go, control.go). The calls of
// testdata/clients are made on it and on Apache Kafka: by librdkafka in Python,
// by kafka-python, and by Java's admin, producers and consumers.
//
// Caveats: one broker, so one replica of everything. Writes are left to the
// operating system's cache, as Kafka does by default: a killed process loses
// nothing, a power cut may. After a kill, offsets of a partition start at 0
// again if retention had emptied it before. It listens on loopback only, by
// default in plaintext and for everybody; TLS, logins (SASL PLAIN and SCRAM)
// and ACLs are there to test and teach clients with. The reference stays
// Apache Kafka.
package broker
