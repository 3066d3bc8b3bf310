package oss_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/oss"
	"taxilake/lakekit/oss/ossserver"
)

// embedded is an embedded store with the bucket "lake".
func embedded(t *testing.T, clock func() time.Time) http.Handler {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lake"), 0o755); err != nil { // the bucket
		t.Fatal(err)
	}
	handler, err := ossserver.New(ossserver.Options{
		Dir: dir, AccessKeyID: "test-id", AccessKeySecret: "test-secret", Region: "cn-hangzhou", Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// before puts a gateway before a store; meddle tells whether it has answered.
func before(store http.Handler, meddle func(w http.ResponseWriter, r *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !meddle(w, r) {
			store.ServeHTTP(w, r)
		}
	})
}

// refusing answers a kind of requests with an error of OSS.
func refusing(t *testing.T, which func(*http.Request) bool, status int, code, more string) http.Handler {
	return before(embedded(t, nil), func(w http.ResponseWriter, r *http.Request) bool {
		if !which(r) || r.Header.Get("Authorization") == "" {
			return false
		}
		w.Header().Set("X-Oss-Request-Id", "REQUEST")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>the message</Message>%s</Error>", code, more)
		return true
	})
}

func method(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

func isListing(r *http.Request) bool { return r.URL.Query().Has("list-type") }

func TestDiagnose(t *testing.T) {
	plain := func(handler http.Handler) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	secure := func(handler http.Handler, cert *tls.Certificate) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewUnstartedServer(handler)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of refused handshakes
			if cert != nil {
				server.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
			}
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	year := 365 * 24 * time.Hour
	right := certificate(t, "127.0.0.1", time.Now().Add(year))
	otherHost := certificate(t, "other.example", time.Now().Add(year))
	expired := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent.Close()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html>")
	})
	asS3 := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "REQUEST")
		w.WriteHeader(http.StatusForbidden)
	})
	late := before(embedded(t, nil), func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		return false
	})
	versioned := before(embedded(t, nil), func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("versioning") {
			io.WriteString(w, "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
			return true
		}
		return r.Header.Get("X-Oss-Forbid-Overwrite") != "" // answered with success
	})
	amnesiac := before(embedded(t, nil), func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "probe")
	})
	none := func(*oss.ClientConfig) {}

	for _, test := range []struct {
		name   string
		store  func(*testing.T) string
		change func(*oss.ClientConfig)
		step   string   // that fails
		detail []string // what it says
		hint   string
	}{
		{"no endpoint", plain(page), func(c *oss.ClientConfig) { c.Endpoint = "" }, "address", []string{"no endpoint"}, "set OSS_ENDPOINT"},
		{"no URL", plain(page), func(c *oss.ClientConfig) { c.Endpoint = "ftp://x" }, "address", []string{"no address"}, "correct OSS_ENDPOINT"},
		{"no secret", plain(page), func(c *oss.ClientConfig) { c.AccessKeySecret = "" }, "address", []string{"no access key secret"}, "set OSS_ACCESS_KEY_SECRET"},
		{"bucket name", plain(page), func(c *oss.ClientConfig) { c.Bucket = "A" }, "address", []string{"bucket"}, "correct OSS_BUCKET"},
		{"bucket in the endpoint", plain(page), func(c *oss.ClientConfig) { c.Endpoint = "https://lake.oss-cn-hangzhou.aliyuncs.com" },
			"address", []string{"begins with the bucket"}, `remove "lake." from OSS_ENDPOINT`},
		{"Aliyun without region", plain(page), func(c *oss.ClientConfig) { c.Endpoint, c.Region = "https://oss-cn-hangzhou.aliyuncs.com", "" },
			"address", []string{"region"}, "set OSS_REGION"},
		{"Aliyun's endpoint as region", plain(page), func(c *oss.ClientConfig) {
			c.Endpoint, c.Region = "https://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou"
		}, "address", []string{"oss-cn-hangzhou"}, "set OSS_REGION"},
		{"Aliyun as S3", plain(page), func(c *oss.ClientConfig) { c.Endpoint, c.S3 = "https://oss-cn-hangzhou.aliyuncs.com", true },
			"address", []string{"put-if-absent"}, "LAKEKIT_PROFILE=cloud"},
		{"no such name", plain(page), func(c *oss.ClientConfig) { c.Endpoint = "http://store.invalid" }, "name", []string{"store.invalid"}, "OSS_ENDPOINT"},
		{"nothing listens", plain(page), func(c *oss.ClientConfig) { c.Endpoint = "http://" + silent.Addr().String() },
			"port", []string{silent.Addr().String(), "refused"}, "lakekit up"},
		{"nothing listens, S3", plain(page), func(c *oss.ClientConfig) { c.Endpoint, c.S3 = "http://"+silent.Addr().String(), true },
			"port", []string{silent.Addr().String(), "refused"}, "make docker-up"},
		{"no TLS there", func(t *testing.T) string { return strings.Replace(plain(page)(t), "http:", "https:", 1) }, none,
			"TLS", []string{"without TLS"}, "http://"},
		{"unknown authority", secure(page, nil), none,
			"TLS", []string{`"O=Acme Co" by "O=Acme Co"`, "unknown authority"}, "SSL_CERT_FILE"},
		{"certificate of another", secure(page, &otherHost), none,
			"TLS", []string{`"CN=other.example" by "CN=test authority"`, "127.0.0.1"}, "other.example"},
		{"certificate expired", secure(page, &expired), none, "TLS", []string{"CN=127.0.0.1", "expired"}, "renew it"},
		{"TLS there", func(t *testing.T) string { return strings.Replace(secure(page, nil)(t), "https:", "http:", 1) }, none,
			"protocol", []string{"speaks TLS"}, "https://"},
		{"a web page", plain(page), none, "protocol", []string{"200 OK", "no object store"}, "console"},
		{"S3 as OSS", plain(asS3), none, "protocol", []string{"speaks S3"}, "LAKEKIT_PROFILE=docker"},
		{"OSS as S3", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.S3 = true }, "protocol", []string{"speaks OSS"}, "LAKEKIT_PROFILE=cloud"},
		{"clock", plain(late), none, "protocol", []string{"clock", "1h0m0s"}, "set the clock"},
		{"clock, by signature", plain(embedded(t, func() time.Time { return time.Now().Add(-time.Hour) })), none, "login", []string{"RequestTimeTooSkewed"}, "set the clock"},
		{"wrong id", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.AccessKeyID = "other" }, "login", []string{"InvalidAccessKeyId"}, "OSS_ACCESS_KEY_ID"},
		{"wrong secret", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.AccessKeySecret = "wrong-secret" }, "login", []string{"SignatureDoesNotMatch"}, "OSS_ACCESS_KEY_SECRET"},
		{"token forgotten", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.AccessKeyID = "STS.id" }, "login", []string{"InvalidAccessKeyId"}, "set OSS_SESSION_TOKEN"},
		{"region", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.Region = "cn-beijing" }, "login", []string{"cn-beijing", "cn-hangzhou"}, "OSS_REGION"},
		{"expired", plain(refusing(t, isListing, 403, "SecurityTokenExpired", "")), func(c *oss.ClientConfig) { c.SecurityToken = "test-token" },
			"login", []string{"SecurityTokenExpired"}, "OSS_SESSION_TOKEN"},
		{"no bucket", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.Bucket = "other" }, "bucket", []string{"NoSuchBucket"}, "OSS_BUCKET"},
		{"bucket of another region", plain(refusing(t, isListing, 403, "AccessDenied", "<Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint>")), none,
			"bucket", []string{"AccessDenied"}, "oss-cn-beijing.aliyuncs.com"},
		{"may not list", plain(refusing(t, isListing, 403, "AccessDenied", "")), none, "bucket", []string{"AccessDenied", "list oss://lake/alice/"}, "read and write access"},
		{"may not list, lent", plain(refusing(t, isListing, 403, "AccessDenied", "")), func(c *oss.ClientConfig) { c.SecurityToken = "test-token" },
			"bucket", []string{"AccessDenied"}, "LAKEKIT_WORKSPACE"},
		{"may not write", plain(refusing(t, method(http.MethodPut), 403, "AccessDenied", "")), none, "write", []string{"AccessDenied"}, "write access"},
		{"full", plain(refusing(t, method(http.MethodPut), 507, "InsufficientStorage", "")), none, "write", []string{"InsufficientStorage"}, "free disk space"},
		{"may not read", plain(refusing(t, func(r *http.Request) bool { return r.Method == http.MethodGet && !isListing(r) }, 403, "AccessDenied", "")),
			none, "read", []string{"AccessDenied"}, "read and write access"},
		{"forgets", plain(amnesiac), none, "read", []string{"not what was put"}, "another store"},
		{"does not list", plain(before(embedded(t, nil), func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "" || !isListing(r) {
				return false
			}
			io.WriteString(w, "<ListBucketResult></ListBucketResult>")
			return true
		})), none, "list", []string{"is not there"}, "another store"},
		{"may not delete", plain(refusing(t, method(http.MethodDelete), 403, "AccessDenied", "")), none, "delete", []string{"AccessDenied"}, "write access"},
		{"versioning", plain(versioned), none, "put-if-absent", []string{"overwrites", "suspended"}, "versioning was never enabled"},
		{"nothing", plain(embedded(t, nil)), none, "", nil, ""},
		{"nothing, with TLS", secure(embedded(t, nil), &right), none, "", nil, ""},
		{"nothing, with a token", plain(embedded(t, nil)), func(c *oss.ClientConfig) { c.SecurityToken = "test-token" }, "", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := oss.ClientConfig{
				Endpoint: test.store(t), Region: "cn-hangzhou", Bucket: "lake", AccessKeyID: "test-id", AccessKeySecret: "test-secret",
			}
			test.change(&config)
			steps := oss.Diagnose(t.Context(), config, "alice")
			for i, step := range steps {
				if fails := i == len(steps)-1 && test.step != ""; step.OK == fails || step.Detail == "" || (step.Hint == "") == fails {
					t.Errorf("step %+v", step)
				}
				if text := fmt.Sprint(step); strings.Contains(text, "-secret") || strings.Contains(text, "test-token") {
					t.Errorf("a secret is in %s", text)
				}
			}
			last := steps[len(steps)-1]
			if test.step == "" {
				if last.Name != "put-if-absent" {
					t.Errorf("ends with %+v", last)
				}
				return
			}
			if last.Name != test.step || !strings.Contains(last.Hint, test.hint) {
				t.Errorf("ends with %+v, want %s and a hint with %q", last, test.step, test.hint)
			}
			for _, part := range test.detail {
				if !strings.Contains(last.Detail, part) {
					t.Errorf("%q lacks %q", last.Detail, part)
				}
			}
		})
	}
}

// authority is the certificate authority that this process trusts, see TestMain.
var authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// TestMain has crypto/x509 find an authority of our own where it looks for the
// system's on Linux and the BSDs.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "authority-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if authority.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			panic(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &authority.key.PublicKey, authority.key)
		if err != nil {
			panic(err)
		}
		if authority.cert, err = x509.ParseCertificate(der); err != nil {
			panic(err)
		}
		file := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", file)
		return m.Run()
	}())
}

// certificate is one for a host, by the trusted authority.
func certificate(t *testing.T, host string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: until.Add(-2 * 365 * 24 * time.Hour), NotAfter: until,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.cert, &key.PublicKey, authority.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
