// Package kafka is what the course does with a Kafka cluster: describe it,
// make and delete topics (Admin), look at messages (Browse) and send records
// at a held rate (Produce). It speaks through librdkafka to any cluster; its
// settings are librdkafka's properties, passed through (Config).
//
// Produce is idempotent and waits for a broker that is away: a record is in
// the topic once, or it is reported. Browse reads beside every consumer: it
// joins no group and commits nothing.
//
// Caveats: cgo. Each call makes its own client, which costs some 10 ms and two
// threads a broker; an Admin is a client for many calls. librdkafka's own log
// goes to slog at level debug.
package kafka
