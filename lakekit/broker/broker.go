package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// ErrPortTaken is returned when another program listens on the port.
var ErrPortTaken = errors.New("port is taken")

// clusterID tells clients that this is not Apache Kafka.
const clusterID = "lakekit-embedded-kfake"

// Options of a broker.
type Options struct {
	Dir   string            // holds everything; made when missing
	Port  int               // on 127.0.0.1; 0: a free one
	Ready func(addr string) // called once, when the broker answers at addr (host:port); may be nil
	TLS   *tls.Config       // with the server's certificate; nil: plaintext
	Users []User            // who may log in; none: anybody, without a login, may do everything

	// Configs are settings of Kafka's brokers that bound what clients may ask
	// for: connections.max.idle.ms, max.connections, max.connections.per.ip,
	// queued.max.request.bytes, sasl.server.max.receive.size and
	// socket.request.max.bytes.
	Configs map[string]string
}

// Run serves from the folder until ctx ends, then stops cleanly and returns
// nil. It returns ErrLocked when another broker has the folder, ErrPortTaken
// when another program has the port.
func Run(ctx context.Context, o Options) error {
	limits, err := limitsOf(o.Configs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the broker's folder: %w", err)
	}
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return err
	}
	defer unlock()

	stopped, err := markRunning(o.Dir)
	if err != nil {
		return fmt.Errorf("recover broker folder %s: %w", o.Dir, err)
	}
	cluster, err := start(o, limits)
	if err != nil {
		return err
	}
	if o.Ready != nil {
		o.Ready(cluster.ListenAddrs()[0])
	}
	<-ctx.Done()
	cluster.Close()
	return stopped()
}

// KafkaVersion is the newest Kafka whose requests the broker answers, such as v4.1.
func KafkaVersion() string { return kversion.Stable().VersionGuess() }

// notOffered are requests that kfake answers and clients do better without.
var notOffered = []kmsg.Key{
	// The lists of eligible leader replicas are null, on which Java's AdminClient,
	// and with it Spark's Kafka source, fails; left out, Java asks by Metadata.
	kmsg.DescribeTopicPartitions,
	// Telemetry goes nowhere, and librdkafka logs a line for every client that
	// subscribes to it. Kafka offers it where a plugin takes it.
	kmsg.GetTelemetrySubscriptions,
	kmsg.PushTelemetry,
}

func start(o Options, limits limits) (*kfake.Cluster, error) {
	versions := kversion.Stable()
	for _, key := range notOffered {
		versions.SetMaxKeyVersion(key.Int16(), -1)
	}
	var listening *listener
	options := []kfake.Opt{
		kfake.DataDir(o.Dir),
		kfake.Ports(o.Port),
		kfake.ClusterID(clusterID),
		kfake.MaxVersions(versions),
		kfake.DefaultNumPartitions(1), // Kafka's num.partitions
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms": "5000", // kfake's own would apply retention once an hour
		}),
		kfake.WithLogger(logger{}),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			listening = newListener(l, o, limits)
			return listening, nil
		}),
	}
	cluster, err := kfake.NewCluster(append(options, accessControl(o.Users)...)...)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: 127.0.0.1:%d: end the program that listens there or choose another port (0: any free one)", ErrPortTaken, o.Port)
	}
	if err != nil {
		return nil, fmt.Errorf("start broker on folder %s: %w", o.Dir, err)
	}
	listening.cluster.Store(cluster)
	checkTopicRequests(cluster)
	answerRefusedLogins(cluster, o.Users)
	dropRepeatedProtocols(cluster)
	foldGroupFilters(cluster)
	checkPatterns(cluster)
	checkProduce(cluster,
		refuseRecordsWhenFull(func() (int64, error) {
			_, free, err := diskSpace(o.Dir)
			return free, err
		}),
		checkRecords(cluster),
		nameUnknownTopics(cluster),
	)
	return cluster, nil
}

// logger hands kfake's log to slog.
type logger struct{}

func (logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug // kfake tells every request at info
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if ctx := context.Background(); slog.Default().Enabled(ctx, to) {
		slog.Log(ctx, to, "broker: "+fmt.Sprintf(format, args...))
	}
}
