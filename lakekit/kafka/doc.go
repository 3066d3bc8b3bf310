// Package kafka is what the course does with a Kafka cluster: describe it,
// make and delete topics (Admin), look at messages (Browse) and send records
// at a held rate (Produce). It speaks through librdkafka to any cluster; its
// settings are librdkafka's properties, passed through (Config).
//
// Produce is idempotent and waits for a broker that is away: a record is in
// the topic once, or it is reported. Browse reads beside every consumer: it
// joins no group and commits nothing.
//
// Any security that librdkafka has is a matter of properties: TLS, SASL. Errors
// name the cause, which librdkafka itself tells to its log only (ErrLogin,
// ErrTLS, ErrNotAllowed, ErrNoBroker), and what to do next; Diagnose looks for
// it step by step. For a class on one cluster, CreateUser and AllowPrefix give
// each student a login and topics of their own.
//
// Caveats: cgo. Each call makes its own client, which costs some 10 ms and two
// threads a broker; an Admin is a client for many calls. librdkafka's own log
// goes to slog at level debug.
package kafka
