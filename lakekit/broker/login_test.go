package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"taxilake/lakekit/broker"
)

func byPlain(name, password string) sasl.Mechanism {
	return plain.Auth{User: name, Pass: password}.AsMechanism()
}

func byScram(name, password string) sasl.Mechanism {
	return scram.Auth{User: name, Pass: password}.AsSha512Mechanism()
}

// emptyPassword is what kgo's own PLAIN does not send.
type emptyPassword struct{}

func (emptyPassword) Name() string { return "PLAIN" }

func (s emptyPassword) Authenticate(context.Context, string) (sasl.Session, []byte, error) {
	return s, []byte("\x00q\x00"), nil
}

func (emptyPassword) Challenge([]byte) (done bool, answer []byte, err error) { return true, nil, nil }

func TestLogin(t *testing.T) {
	addr, _ := serveWith(t, broker.Options{Dir: t.TempDir(), Users: []broker.User{
		{Mechanism: broker.Plain, Name: "p", Password: "pw"},
		{Name: "s", Password: "pw"},
	}})
	for _, test := range []struct {
		name  string
		login sasl.Mechanism // nil: none
		good  bool
		is    error // nil: any
	}{
		{"PLAIN", byPlain("p", "pw"), true, nil},
		{"SCRAM-SHA-512, the default", byScram("s", "pw"), true, nil},
		{"wrong password", byPlain("p", "pq"), false, kerr.SaslAuthenticationFailed},
		{"unknown user", byPlain("q", "pw"), false, kerr.SaslAuthenticationFailed},
		{"unknown user without a password", emptyPassword{}, false, kerr.SaslAuthenticationFailed},
		{"other mechanism's user", byPlain("s", "pw"), false, kerr.SaslAuthenticationFailed},
		{"SCRAM, wrong password", byScram("s", "pq"), false, nil},
		{"SCRAM, unknown user", byScram("q", "pw"), false, nil},
		{"none", nil, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts := []kgo.Opt{kgo.RequestRetries(0)}
			if test.login != nil {
				opts = append(opts, kgo.SASL(test.login))
			}
			_, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, addr, opts...))
			if (err == nil) != test.good || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want good %v, %v", err, test.good, test.is)
			}
		})
	}
}

// Whoever is no super user has the rights that ACLs give, which a restart keeps.
func TestRights(t *testing.T) {
	options := broker.Options{Dir: t.TempDir(), Users: []broker.User{
		{Mechanism: broker.Plain, Name: "super", Password: "pw", Super: true},
		{Mechanism: broker.Plain, Name: "user", Password: "pw"},
	}}
	createAs := func(addr, user, topic string) error {
		answer := create(t, client(t, addr, kgo.SASL(byPlain(user, "pw"))), newTopic(topic))[0]
		return kerr.ErrorForCode(answer.ErrorCode)
	}
	addr, stop := serveWith(t, options)
	if err := createAs(addr, "super", "any"); err != nil {
		t.Error(err)
	}
	if err := createAs(addr, "user", "own.a"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("without a right: %v", err)
	}
	allow := kmsg.NewCreateACLsRequestCreation()
	allow.ResourceType, allow.ResourceName, allow.ResourcePatternType = kmsg.ACLResourceTypeTopic, "own.", kmsg.ACLResourcePatternTypePrefixed
	allow.Principal, allow.Host = "User:user", "*"
	allow.Operation, allow.PermissionType = kmsg.ACLOperationCreate, kmsg.ACLPermissionTypeAllow
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = append(req.Creations, allow)
	if answer, err := req.RequestWith(t.Context(), client(t, addr, kgo.SASL(byPlain("super", "pw")))); err != nil || answer.Results[0].ErrorCode != 0 {
		t.Fatalf("answer %+v (%v)", answer, err)
	}
	if err := createAs(addr, "user", "own.a"); err != nil {
		t.Error(err)
	}
	stop()
	addr, _ = serveWith(t, options)
	if err := createAs(addr, "user", "own.b"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := createAs(addr, "user", "others"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("after a restart, without a right: %v", err)
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer web.Close()
	addr, _ := serveWith(t, broker.Options{Dir: t.TempDir(), TLS: &tls.Config{Certificates: web.TLS.Certificates}})
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for _, test := range []struct {
		name string
		opts []kgo.Opt
		good bool
	}{
		{"trusted", []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: roots})}, true},
		{"not trusted", []kgo.Opt{kgo.DialTLSConfig(&tls.Config{})}, false},
		{"plaintext", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, addr, append(test.opts, kgo.RequestRetries(0))...))
			if (err == nil) != test.good {
				t.Errorf("error %v, want good %v", err, test.good)
			}
		})
	}
}
