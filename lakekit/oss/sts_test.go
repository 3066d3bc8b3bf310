package oss_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/oss"
)

func ownKeys() oss.ClientConfig {
	config := s3Config
	config.SecurityToken = ""
	return config
}

func TestLend(t *testing.T) {
	config := ownKeys()
	var form url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ = url.ParseQuery(string(body))
		if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "/us-east-1/sts/aws4_request") {
			t.Errorf("Authorization %q", auth)
		}
		io.WriteString(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>lent-id</AccessKeyId><SecretAccessKey>lent-secret</SecretAccessKey>
			<SessionToken>lent-token</SessionToken><Expiration>2026-11-22T18:00:00Z</Expiration>
			</Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	defer server.Close()
	config.Endpoint = server.URL
	lent, expires, err := oss.Lend(t.Context(), config, "/classes/alice/", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := config
	want.AccessKeyID, want.AccessKeySecret, want.SecurityToken = "lent-id", "lent-secret", "lent-token"
	if lent != want {
		t.Errorf("lent %v", lent)
	}
	if !expires.Equal(time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)) {
		t.Errorf("expires %v", expires)
	}
	if form.Get("Action") != "AssumeRole" || form.Get("DurationSeconds") != "3600" {
		t.Errorf("form %v", form)
	}
	const policy = `{"Statement":[` +
		`{"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"],"Effect":"Allow","Resource":["arn:aws:s3:::lake/classes/alice/*"]},` +
		`{"Action":["s3:ListBucket"],"Condition":{"StringLike":{"s3:prefix":["classes/alice/*"]}},"Effect":"Allow","Resource":["arn:aws:s3:::lake"]}` +
		`],"Version":"2012-10-17"}`
	if got := form.Get("Policy"); got != policy {
		t.Errorf("policy\n%s\nwant\n%s", got, policy)
	}
}

func TestLendRefused(t *testing.T) {
	for _, test := range []struct {
		name     string
		config   oss.ClientConfig
		prefix   string
		duration time.Duration
		answer   answer
		want     string
	}{
		{"everything", ownKeys(), "", time.Hour, answer{}, "empty"},
		{"a pattern", ownKeys(), "al*", time.Hour, answer{}, `"*"`},
		{"a way out", ownKeys(), "a/../b", time.Hour, answer{}, `".."`},
		{"a minute", ownKeys(), "a", time.Minute, answer{}, "15 minutes"},
		{"two years", ownKeys(), "a", 2 * 365 * 24 * time.Hour, answer{}, "365 days"},
		{"lent ones", s3Config, "a", time.Hour, answer{}, "account's own"},
		{"of OSS", oss.ClientConfig{Bucket: "lake", AccessKeyID: "test-id", AccessKeySecret: "test-secret"}, "a", time.Hour, answer{}, "RAM"},
		{"denied", ownKeys(), "a", time.Hour, answer{403, "", "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>R</RequestId></ErrorResponse>"}, "AccessDenied"},
		{"wrong id", ownKeys(), "a", time.Hour, answer{403, "", "<ErrorResponse><Error><Code>InvalidAccessKeyId</Code></Error></ErrorResponse>"}, "OSS_ACCESS_KEY_ID"},
		{"no STS there", ownKeys(), "a", time.Hour, answer{405, "", "Method Not Allowed"}, "Method Not Allowed"},
		{"nothing in it", ownKeys(), "a", time.Hour, answer{200, "", "<AssumeRoleResponse></AssumeRoleResponse>"}, "no credentials"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.answer.status == 0 {
					t.Error("asked the store")
					return
				}
				w.WriteHeader(test.answer.status)
				io.WriteString(w, test.answer.body)
			}))
			defer server.Close()
			test.config.Endpoint = server.URL
			_, _, err := oss.Lend(t.Context(), test.config, test.prefix, test.duration)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "test-secret") {
				t.Errorf("error %v, want one that says %s", err, test.want)
			}
		})
	}
}

// TestConfigShowsNoSecret, however it is printed.
func TestConfigShowsNoSecret(t *testing.T) {
	config := s3Config
	config.Endpoint = "http://user:test-password@127.0.0.1:9000"
	data, err := json.Marshal(map[string]any{"config": config, "pointer": &config})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", config)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", config)
	text := string(data) + log.String() + fmt.Sprintf("%v %+v %#v %s", config, config, config, &config)
	for _, secret := range []string{"test-secret", "test-token", "test-password"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
	if !strings.Contains(text, `bucket "lake" at http://127.0.0.1:9000 (S3, region "")`) {
		t.Error(text)
	}
}

// TestSecurityToken: a token goes with every request to OSS, under its signature.
func TestSecurityToken(t *testing.T) {
	for _, region := range []string{"cn-hangzhou", ""} {
		t.Run("region "+region, func(t *testing.T) {
			server := httptest.NewServer(before(embedded(t, nil), func(w http.ResponseWriter, r *http.Request) bool {
				if got := r.Header.Get("X-Oss-Security-Token"); got != "test-token" {
					t.Errorf("%s %s: token %q", r.Method, r.URL, got)
				}
				return false
			}))
			t.Cleanup(server.Close)
			client, err := oss.NewClient(oss.ClientConfig{
				Endpoint: server.URL, Region: region, Bucket: "lake",
				AccessKeyID: "test-id", AccessKeySecret: "test-secret", SecurityToken: "test-token",
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			oss.InParts(client, partSize)
			ctx := t.Context()
			for _, err := range []error{
				client.Put(ctx, "a/small", strings.NewReader("x")),
				client.Put(ctx, "a/large", bytes.NewReader(partsOf(3))),
				client.PutIfAbsent(ctx, "a/new", bytes.NewReader(partsOf(3))),
				oss.ProvePutIfAbsent(ctx, client),
				client.Delete(ctx, "a/small"),
				client.Delete(ctx, "a/large", "a/new"),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			for info, err := range client.List(ctx, blob.ListOptions{}) {
				t.Errorf("left: %v, %v", info, err)
			}
		})
	}
	t.Run("changed on its way", func(t *testing.T) {
		server := httptest.NewServer(before(embedded(t, nil), func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("X-Oss-Security-Token", "another")
			return false
		}))
		t.Cleanup(server.Close)
		client := newClient(t, server.URL, "lake")
		if err := client.Put(t.Context(), "k", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
			t.Errorf("error %v", err)
		}
	})
}
