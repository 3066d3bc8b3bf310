package kafka_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

// calls are all that goes to a cluster.
var calls = map[string]func(context.Context, *testing.T, kafka.Config) error{
	"cluster": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := newAdmin(t, c).Cluster(ctx)
		return err
	},
	"topics": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := newAdmin(t, c).Topics(ctx)
		return err
	},
	"describe": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := newAdmin(t, c).DescribeTopic(ctx, "any")
		return err
	},
	"create": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := newAdmin(t, c).CreateTopic(ctx, kafka.TopicSpec{Name: "any"})
		return err
	},
	"delete": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		return newAdmin(t, c).DeleteTopic(ctx, "any")
	},
	"create user": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		return newAdmin(t, c).CreateUser(ctx, "alice", "al1ce-s3cret")
	},
	"allow prefix": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		return newAdmin(t, c).AllowPrefix(ctx, "alice", "alice.")
	},
	"browse": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := kafka.Browse(ctx, c, "any", kafka.BrowseOptions{})
		return err
	},
	"scan": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		return kafka.Scan(ctx, c, "any", nil, func(api.Message) error { return nil })
	},
	"produce": func(ctx context.Context, t *testing.T, c kafka.Config) error {
		_, err := kafka.Produce(ctx, c, newNumbered(10, 10), kafka.ProduceOptions{Topic: "any"})
		return err
	},
}

// A refusal ends every call long before its time-out, which would be 10 s, or
// never for a run of Produce.
func TestRefusalsEndCallsAtOnce(t *testing.T) {
	ca := newAuthority(t)
	type refusal struct {
		name   string
		config kafka.Config
		is     error
		says   []string
	}
	wrong := broker.User{Mechanism: broker.Plain, Name: "boss", Password: "wr0ng-s3cret"}
	sasl := startBrokerWith(t, broker.Options{Users: []broker.User{boss}})
	ssl := startBrokerWith(t, broker.Options{TLS: ca.server(t, "127.0.0.1")})
	wrongName := startBrokerWith(t, broker.Options{TLS: ca.server(t, "kafka.example")})
	refusals := []refusal{
		{"password", login(sasl, "SASL_PLAINTEXT", wrong), kafka.ErrLogin, []string{"Authentication failed", "KAFKA_SASL_PASSWORD"}},
		{"mechanism", with(login(sasl, "SASL_PLAINTEXT", boss), kafka.Config{"sasl.mechanisms": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": "principal=boss"}), kafka.ErrLogin, []string{"PLAIN,SCRAM", "KAFKA_SASL_MECHANISM"}},
		{"authority", kafka.Config{"bootstrap.servers": ssl, "security.protocol": "SSL"}, kafka.ErrTLS, []string{"verify failed", "KAFKA_SSL_CA_LOCATION"}},
		{"host name", kafka.Config{"bootstrap.servers": wrongName, "security.protocol": "SSL", "ssl.ca.location": ca.file}, kafka.ErrTLS, []string{"verify failed", "as the certificate names it"}},
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA_SASL"); addr != "" {
		user := broker.User{Mechanism: broker.ScramSHA512, Name: "nobody", Password: "wr0ng-s3cret"}
		refusals = append(refusals, refusal{"real user", login(addr, "SASL_PLAINTEXT", user), kafka.ErrLogin, []string{"invalid credentials", "KAFKA_SASL_PASSWORD"}})
		user.Mechanism = broker.Plain
		refusals = append(refusals, refusal{"real mechanism", login(addr, "SASL_PLAINTEXT", user), kafka.ErrLogin, []string{"SCRAM-SHA-512", "KAFKA_SASL_MECHANISM"}})
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA_SASL_SSL"); addr != "" {
		refusals = append(refusals,
			refusal{"real authority", with(login(addr, "SASL_SSL", wrong), kafka.Config{"ssl.ca.location": ca.file}), kafka.ErrTLS, []string{"verify failed", "KAFKA_SSL_CA_LOCATION"}},
			refusal{"real password", with(login(addr, "SASL_SSL", wrong), kafka.Config{"ssl.ca.location": os.Getenv("LAKEKIT_REAL_KAFKA_CA")}), kafka.ErrLogin, []string{"Authentication failed", "KAFKA_SASL_PASSWORD"}})
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA"); addr != "" {
		refusals = append(refusals,
			refusal{"real login to a port without", login(addr, "SASL_PLAINTEXT", wrong), kafka.ErrLogin, []string{"KAFKA_SECURITY_PROTOCOL", "no login"}})
	}
	for _, test := range refusals {
		for name, call := range calls {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				err := call(t.Context(), t, test.config)
				if !errors.Is(err, test.is) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
					t.Fatalf("error %v, want %v", err, test.is)
				}
				for _, part := range test.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("error %v does not say %q", err, part)
					}
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v shows a password", err)
				}
			})
		}
	}
}

// What may get better is waited for, and then told with the last cause.
func TestNoBrokerTellsTheCause(t *testing.T) {
	ca := newAuthority(t)
	sasl := startBrokerWith(t, broker.Options{Users: []broker.User{boss}})
	ssl := startBrokerWith(t, broker.Options{TLS: ca.server(t, "127.0.0.1")})
	type trouble struct {
		name   string
		config kafka.Config
		says   string
	}
	troubles := []trouble{
		{"dead port", kafka.Config{"bootstrap.servers": deadPort(t)}, "Connection refused"},
		{"name", kafka.Config{"bootstrap.servers": "kafka.invalid:9092"}, "Failed to resolve 'kafka.invalid:9092'"},
		{"plaintext to TLS", kafka.Config{"bootstrap.servers": ssl}, "does the port want TLS"},
		{"no login", kafka.Config{"bootstrap.servers": sasl}, "does the port want a login"},
		{"login ended by a hang-up", login(sasl, "SASL_PLAINTEXT", broker.User{Mechanism: broker.ScramSHA512, Name: "nobody", Password: "s3cret"}), "wrong user or password"},
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA"); addr != "" { // the embedded broker waits for the rest of the odd request
		troubles = append(troubles, trouble{"real TLS to plaintext", kafka.Config{"bootstrap.servers": addr, "security.protocol": "SSL", "ssl.ca.location": ca.file}, "does the port speak plaintext"})
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA_SASL_SSL"); addr != "" {
		troubles = append(troubles, trouble{"real plaintext to TLS", kafka.Config{"bootstrap.servers": addr}, "does the port want TLS"})
	}
	if addr := os.Getenv("LAKEKIT_REAL_KAFKA_SASL"); addr != "" {
		troubles = append(troubles, trouble{"real, no login", kafka.Config{"bootstrap.servers": addr}, "does the port want a login"})
	}
	for _, test := range troubles {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// On a machine that is busy the cause shows later: who waits longer sees it.
			a := newAdmin(t, test.config)
			for patience := time.Second; ; patience *= 2 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, err := a.Cluster(ctx)
				cancel()
				if !errors.Is(err, kafka.ErrNoBroker) || !strings.Contains(err.Error(), "KAFKA_BOOTSTRAP_SERVERS") {
					t.Fatalf("error %v", err)
				}
				if strings.Contains(err.Error(), test.says) {
					return
				}
				if patience > time.Minute {
					t.Fatalf("error %v, want one saying %q", err, test.says)
				}
			}
		})
	}
}

// A right that is missing is told as such, whichever it is.
func TestRightsAreMissing(t *testing.T) {
	sasl := startBrokerWith(t, broker.Options{Users: []broker.User{boss, guest}})
	admin := login(sasl, "SASL_PLAINTEXT", boss)
	createTopic(t, admin, "any", 1)
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context(), t, login(sasl, "SASL_PLAINTEXT", guest))
			switch name {
			case "cluster", "topics": // allowed, and empty
				if err != nil {
					t.Error(err)
				}
			default:
				if !errors.Is(err, kafka.ErrNotAllowed) || !strings.Contains(err.Error(), "ACL") {
					t.Errorf("error %v, want it not allowed", err)
				}
			}
		})
	}
}

// The broker comes back with another password for the user, in the middle of a run.
func TestProduceEndsWhenTheLoginIsNoLongerGood(t *testing.T) {
	dir := t.TempDir()
	start := func(name string, port int, u broker.User) (string, func()) {
		return serve(t, broker.Options{Dir: filepath.Join(dir, name), Port: port, Users: []broker.User{u}})
	}
	addr, stop := start("before", 0, boss)
	c := with(login(addr, "SASL_PLAINTEXT", boss), kafka.Config{"reconnect.backoff.max.ms": "100"})
	createTopic(t, c, "any", 1)
	changed := boss
	changed.Password = "an0ther-s3cret"
	stopped := false
	p, err := kafka.Produce(t.Context(), c, newNumbered(10_000_000, 10), kafka.ProduceOptions{Topic: "any", Rate: 1_000, Report: func(p api.TrafficProgress) {
		if p.Acknowledged > 0 && !stopped {
			stopped = true
			stop()
			_, stop = start("after", portOf(t, addr), changed)
		}
	}})
	stop()
	if !errors.Is(err, kafka.ErrLogin) || p.State != api.TrafficFailed || p.Acknowledged == 0 {
		t.Errorf("error %v, progress %+v", err, p)
	}
}
