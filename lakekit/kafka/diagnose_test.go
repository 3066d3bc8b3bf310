package kafka_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

// boss is the super user of the test brokers by PLAIN, guest a user with no
// rights.
var (
	boss  = broker.User{Mechanism: broker.Plain, Name: "boss", Password: "b0ss-s3cret", Super: true}
	guest = broker.User{Mechanism: broker.Plain, Name: "guest", Password: "gu3st-s3cret"}
)

func login(addr, protocol string, u broker.User) kafka.Config {
	return kafka.Config{
		"bootstrap.servers": addr, "security.protocol": protocol,
		"sasl.mechanisms": u.Mechanism, "sasl.username": u.Name, "sasl.password": u.Password,
	}
}

// tcpServer runs serve for each connection until the test ends.
func tcpServer(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			serve(conn)
		}
	}()
	return ln.Addr().String()
}

// deadPort is an address where nothing listens.
func deadPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestDiagnose(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	users := []broker.User{boss, guest, {Name: "scram", Password: "scr4m-s3cret", Super: true}}
	plain := startBrokerWith(t, broker.Options{})
	sasl := startBrokerWith(t, broker.Options{Users: users})
	saslSSL := startBrokerWith(t, broker.Options{Users: users, TLS: ca.server(t, "127.0.0.1", "localhost")})
	ssl := startBrokerWith(t, broker.Options{TLS: ca.server(t, "127.0.0.1")})
	wrongName := startBrokerWith(t, broker.Options{TLS: ca.server(t, "kafka.example")})
	createTopic(t, kafka.Config{"bootstrap.servers": plain}, "there", 2)
	createTopic(t, login(sasl, "SASL_PLAINTEXT", boss), "there", 2)
	silent := tcpServer(t, func(net.Conn) {})
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS = ca.server(t, "127.0.0.1")
	web.StartTLS()
	t.Cleanup(web.Close)
	plainWeb := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plainWeb.Close)
	trusting := kafka.Config{"ssl.ca.location": ca.file}

	const all = 9
	for _, test := range []struct {
		name   string
		config kafka.Config
		topic  string
		steps  int    // until the one that fails
		fails  string // its name; "": none
		detail string
		hint   string
	}{
		{"plaintext, topic to be", kafka.Config{"bootstrap.servers": plain}, "new", all, "", "told once the topic exists", ""},
		{"plaintext, topic exists", kafka.Config{"bootstrap.servers": plain}, "there", all, "", "both allowed", ""},
		{"no topic", kafka.Config{"bootstrap.servers": plain}, "", 7, "", plain, ""},
		{"one of two servers", kafka.Config{"bootstrap.servers": deadPort(t) + ",PLAINTEXT://" + plain}, "there", all, "", "both allowed", ""},
		{"PLAIN", login(sasl, "SASL_PLAINTEXT", boss), "there", all, "", "both allowed", ""},
		{"SCRAM", login(sasl, "sasl_plaintext", broker.User{Mechanism: "SCRAM-SHA-512", Name: "scram", Password: "scr4m-s3cret"}), "there", all, "", "both allowed", ""},
		{"TLS", with(trusting, kafka.Config{"bootstrap.servers": ssl, "security.protocol": "SSL"}), "new", all, "", "told once", ""},
		{"TLS without a look at the name", with(trusting, kafka.Config{"bootstrap.servers": wrongName, "security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "none"}), "new", all, "", "told once", ""},
		{"TLS without a look at the certificate", kafka.Config{"bootstrap.servers": wrongName, "security.protocol": "SSL", "enable.ssl.certificate.verification": "false"}, "new", all, "", "told once", ""},
		{"SASL_SSL", with(trusting, login(saslSSL, "SASL_SSL", boss)), "new", all, "", "told once", ""},

		{"unknown property", kafka.Config{"bootstrap.servers": plain, "no.such": "1"}, "", 1, "client properties", "no.such", "client.properties"},
		{"no servers", kafka.Config{}, "", 1, "client properties", "bootstrap.servers is empty", "KAFKA_BOOTSTRAP_SERVERS"},
		{"missing authority", with(login(saslSSL, "SASL_SSL", boss), kafka.Config{"ssl.ca.location": filepath.Join(t.TempDir(), "none.pem")}), "", 1, "client properties", "none.pem", "KAFKA_SSL_CA_LOCATION"},
		{"name", kafka.Config{"bootstrap.servers": "kafka.invalid:9092"}, "", 2, "host name", "kafka.invalid", "KAFKA_BOOTSTRAP_SERVERS"},
		{"dead port", kafka.Config{"bootstrap.servers": deadPort(t)}, "", 3, "port", "refused", "lakekit up"},
		{"not trusted", with(login(saslSSL, "SASL_SSL", boss), kafka.Config{"ssl.ca.location": other.file}), "", 4, "TLS", "unknown authority", "KAFKA_SSL_CA_LOCATION"},
		{"not trusted by the system", login(saslSSL, "SASL_SSL", boss), "", 4, "TLS", "unknown authority", "KAFKA_SSL_CA_LOCATION"},
		{"certificate of another", with(trusting, kafka.Config{"bootstrap.servers": wrongName, "security.protocol": "SSL"}), "", 4, "TLS", "127.0.0.1", "as its certificate names it"},
		{"TLS to a port without", with(trusting, login(sasl, "SASL_SSL", boss)), "", 4, "TLS", "speaks plaintext", "to SASL_PLAINTEXT"},
		{"plaintext to a port with TLS", login(saslSSL, "SASL_PLAINTEXT", boss), "", 5, "protocol", "speaks TLS", "to SASL_SSL"},
		{"silence", kafka.Config{"bootstrap.servers": silent}, "", 5, "protocol", "says nothing", "another program"},
		{"TLS, no Kafka", with(trusting, kafka.Config{"bootstrap.servers": web.Listener.Addr().String(), "security.protocol": "SSL"}), "", 5, "protocol", "not Kafka's protocol", "another program"},
		{"no Kafka", kafka.Config{"bootstrap.servers": plainWeb.Listener.Addr().String()}, "", 5, "protocol", "not Kafka's protocol", "another program"},
		{"password", login(sasl, "SASL_PLAINTEXT", broker.User{Mechanism: "PLAIN", Name: "boss", Password: "wr0ng-s3cret"}), "", 6, "login", "Authentication failed", "KAFKA_SASL_PASSWORD"},
		{"password, told by a hang-up", login(sasl, "SASL_PLAINTEXT", broker.User{Mechanism: "SCRAM-SHA-512", Name: "scram", Password: "wr0ng-s3cret"}), "", 6, "login", "wrong user or password", ""},
		{"mechanism", with(login(sasl, "SASL_PLAINTEXT", boss), kafka.Config{"sasl.mechanisms": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": "principal=boss"}), "", 6, "login", "supported mechanisms: PLAIN", "KAFKA_SASL_MECHANISM"},
		{"no login", kafka.Config{"bootstrap.servers": sasl}, "", 6, "login", "wants a login", "SASL_PLAINTEXT"},
		{"topic name", kafka.Config{"bootstrap.servers": plain}, "bad name!", 8, "topic", "bad name!", ""},
		{"others' topic", login(sasl, "SASL_PLAINTEXT", guest), "there", 8, "topic", "Topic authorization failed", "LAKEKIT_WORKSPACE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checks := kafka.Diagnose(t.Context(), test.config, test.topic)
			if len(checks) != test.steps {
				t.Fatalf("%d steps, want %d: %+v", len(checks), test.steps, checks)
			}
			for i, check := range checks {
				isLast := i == len(checks)-1
				if check.OK != (!isLast || test.fails == "") {
					t.Errorf("step %+v", check)
				}
				if strings.Contains(check.Detail+check.Hint, "s3cret") {
					t.Errorf("step %+v shows a secret", check)
				}
			}
			last := checks[len(checks)-1]
			if test.fails != "" && last.Name != test.fails || !strings.Contains(last.Detail, test.detail) || !strings.Contains(last.Hint, test.hint) {
				t.Errorf("last step %+v, want %q with %q and %q", last, test.fails, test.detail, test.hint)
			}
		})
	}
}

func TestDiagnoseRealKafka(t *testing.T) {
	plain, sasl, ssl := realAddress(t, "LAKEKIT_REAL_KAFKA"), realAddress(t, "LAKEKIT_REAL_KAFKA_SASL"), realAddress(t, "LAKEKIT_REAL_KAFKA_SASL_SSL")
	root := broker.User{Mechanism: broker.Plain, Name: realAddress(t, "LAKEKIT_REAL_KAFKA_USERNAME"), Password: realAddress(t, "LAKEKIT_REAL_KAFKA_PASSWORD")}
	wrong := broker.User{Mechanism: broker.ScramSHA512, Name: "nobody", Password: "wr0ng-s3cret"}
	trusting := kafka.Config{"ssl.ca.location": realAddress(t, "LAKEKIT_REAL_KAFKA_CA")}
	topic := newPrefix() + "any"
	for _, test := range []struct {
		name   string
		config kafka.Config
		fails  string
		detail string
		hint   string
	}{
		{"plaintext", kafka.Config{"bootstrap.servers": plain}, "", "told once the topic exists", ""},
		{"SASL_SSL", with(trusting, login(ssl, "SASL_SSL", root)), "", "told once the topic exists", ""},
		{"not trusted", login(ssl, "SASL_SSL", root), "TLS", "unknown authority", "KAFKA_SSL_CA_LOCATION"},
		{"TLS to a port without", with(trusting, login(sasl, "SASL_SSL", root)), "TLS", "speaks plaintext", "to SASL_PLAINTEXT"},
		{"plaintext to a port with TLS", kafka.Config{"bootstrap.servers": ssl}, "protocol", "speaks TLS", "to SSL"},
		{"password", login(sasl, "SASL_PLAINTEXT", wrong), "login", "invalid credentials", "KAFKA_SASL_PASSWORD"},
		{"mechanism", login(sasl, "SASL_PLAINTEXT", root), "login", "supported mechanisms: SCRAM-SHA-512", "KAFKA_SASL_MECHANISM"},
		{"no login", kafka.Config{"bootstrap.servers": sasl}, "login", "wants a login", "SASL_PLAINTEXT"},
		{"login to a port without", login(plain, "SASL_PLAINTEXT", root), "login", "current SASL state", "takes no login"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checks := kafka.Diagnose(t.Context(), test.config, topic)
			last := checks[len(checks)-1]
			if last.OK != (test.fails == "") || test.fails != "" && last.Name != test.fails || !strings.Contains(last.Detail, test.detail) || !strings.Contains(last.Hint, test.hint) {
				t.Errorf("last step %+v, want %q with %q and %q", last, test.fails, test.detail, test.hint)
			}
		})
	}
}

// The broker is kfake itself, which says that it is somewhere else, as one
// behind Docker's published ports without a listener for them.
func TestDiagnoseAdvertisedAddresses(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	dead := deadPort(t)
	_, port, err := net.SplitHostPort(dead)
	if err != nil {
		t.Fatal(err)
	}
	cluster.ControlKey(kmsg.Metadata.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		somewhere := kmsg.NewMetadataResponseBroker()
		somewhere.Host = "127.0.0.1"
		n, err := strconv.Atoi(port)
		somewhere.Port = int32(n)
		resp := r.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers, resp.ClusterID = append(resp.Brokers, somewhere), kmsg.StringPtr("elsewhere")
		return resp, err, true
	})
	bootstrap := cluster.ListenAddrs()[0]
	checks := kafka.Diagnose(t.Context(), kafka.Config{"bootstrap.servers": bootstrap}, "any")
	last := checks[len(checks)-1]
	if last.Name != "advertised addresses" || last.OK || !strings.Contains(last.Detail, bootstrap) || !strings.Contains(last.Detail, dead) || !strings.Contains(last.Hint, "advertised.listeners") {
		t.Errorf("last step %+v", last)
	}
}
