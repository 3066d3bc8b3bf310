package kafka

import (
	"context"
	"errors"
	"fmt"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

var (
	// ErrNoBroker is returned when no broker answers in time.
	ErrNoBroker = errors.New("no broker answers")
	// ErrTLS is returned when no TLS connection comes about: the certificate
	// is not trusted, is for another host, or the port does not speak TLS.
	ErrTLS = errors.New("no TLS connection")
	// ErrLogin is returned when the cluster refuses the login.
	ErrLogin = errors.New("login refused")
	// ErrNotAllowed is returned for what the cluster does not let this user do.
	ErrNotAllowed = errors.New("not allowed")
	// ErrTopicNotFound is returned for a topic that the cluster does not have.
	ErrTopicNotFound = errors.New("topic does not exist")
	// ErrTopicName is returned for a name that Kafka does not allow.
	ErrTopicName = errors.New("bad topic name")
	// ErrOptions is returned for options that cannot be: a negative number, or one
	// that is larger than Kafka takes.
	ErrOptions = errors.New("bad options")
	// ErrPartitionCount is returned by CreateTopic when the topic exists with
	// another number of partitions.
	ErrPartitionCount = errors.New("topic exists with another number of partitions")
	// ErrTopicSettings is returned by CreateTopic when the topic exists with other
	// settings than those asked for.
	ErrTopicSettings = errors.New("topic exists with other settings")
	// ErrPartitionNotFound is returned for a partition that the topic does not have.
	ErrPartitionNotFound = errors.New("partition does not exist")
)

// A fault is why something could not be done, with what to do next.
type fault struct {
	kind  error // what callers decide on; nil: nothing
	said  string
	hint  string
	cause error // nil if said tells all of it
}

func (f *fault) Error() string {
	text := f.said
	if f.kind != nil {
		text = f.kind.Error() + ": " + text
	}
	return text + ": " + f.hint
}

func (f *fault) Unwrap() []error { return []error{f.kind, f.cause} }

// callFailed says what failed, and turns librdkafka's answer into what a caller
// decides on. Where librdkafka knows only that nobody answered in time, h
// knows why.
func callFailed(err error, servers string, h *health, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), faultOf(err, servers, h))
}

func faultOf(err error, servers string, h *health) error {
	trouble, refusal := h.state()
	switch {
	case refusal != nil && isUnanswered(err):
		return refusal
	case errors.Is(err, context.DeadlineExceeded), isCode(err, noAnswer...):
		said := fmt.Sprintf("at %s within %v", servers, answerTimeout)
		if trouble != "" {
			said += " (" + trouble + ")"
		}
		return &fault{ErrNoBroker, said, "check the address (KAFKA_BOOTSTRAP_SERVERS) and security.protocol (KAFKA_SECURITY_PROTOCOL); the embedded broker: `lakekit status` tells whether it runs, `lakekit up` starts it", err}
	case isCode(err, confluent.ErrAuthentication, confluent.ErrSaslAuthenticationFailed, confluent.ErrSsl):
		var e confluent.Error
		errors.As(err, &e)
		return refusalOf(e)
	case isCode(err, confluent.ErrUnknownTopicOrPart, confluent.ErrUnknownTopic, confluent.ErrUnknownPartition):
		return &fault{ErrTopicNotFound, "on " + servers, "create it first, or check the name", err}
	case isCode(err, confluent.ErrTopicAuthorizationFailed):
		return &fault{ErrNotAllowed, err.Error(), "the user (sasl.username, KAFKA_SASL_USERNAME) has no right to do this to the topic: check the topic's name and LAKEKIT_WORKSPACE, or have the right granted by an ACL", err}
	case isCode(err, confluent.ErrClusterAuthorizationFailed):
		return &fault{ErrNotAllowed, err.Error(), "the user (sasl.username, KAFKA_SASL_USERNAME) has no right to do this to the cluster, or may write to no topic: have it granted by an ACL", err}
	case isCode(err, confluent.ErrGroupAuthorizationFailed):
		return &fault{ErrNotAllowed, err.Error(), "the user (sasl.username, KAFKA_SASL_USERNAME) has no right to the consumer group: set group.id to one that is allowed, or have READ granted by an ACL", err}
	case isCode(err, confluent.ErrInvalidReplicationFactor):
		return &fault{nil, err.Error(), "leave the replication factor to the cluster (0); Confluent Cloud takes 3 only", err}
	case isCode(err, confluent.ErrSecurityDisabled):
		return &fault{nil, err.Error(), "the cluster has no authorizer, everybody may do everything: set authorizer.class.name on its brokers", err}
	case isCode(err, confluent.ErrPolicyViolation):
		return &fault{nil, err.Error(), "the cluster's policy forbids it: ask for fewer partitions, or leave settings out", err}
	}
	return err
}

var noAnswer = []confluent.ErrorCode{
	confluent.ErrTimedOut, confluent.ErrTimedOutQueue, confluent.ErrTransport, confluent.ErrAllBrokersDown, confluent.ErrResolve,
}

// isUnanswered is for calls that a refusal may have ended.
func isUnanswered(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || isCode(err, noAnswer...)
}

func isCode(err error, codes ...confluent.ErrorCode) bool {
	var e confluent.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code() == code {
			return true
		}
	}
	return false
}

// orNil is for the errors that confluent's results hold by value.
func orNil(e confluent.Error) error {
	if e.Code() == confluent.ErrNoError {
		return nil
	}
	return e
}
