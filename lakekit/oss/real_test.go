package oss_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
	"taxilake/lakekit/oss"
)

// variable is a variable of the environment without which a test of a real
// store is skipped.
func variable(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skip("no real store: set " + name)
	}
	return value
}

func realS3(t *testing.T) oss.ClientConfig {
	t.Helper()
	return oss.ClientConfig{
		Endpoint:        variable(t, "LAKEKIT_REAL_S3"),
		AccessKeyID:     variable(t, "LAKEKIT_REAL_S3_ACCESS_KEY_ID"),
		AccessKeySecret: variable(t, "LAKEKIT_REAL_S3_ACCESS_KEY_SECRET"),
		Bucket:          "lakekit-test",
		S3:              true,
	}
}

func realOSS(t *testing.T) oss.ClientConfig {
	t.Helper()
	return oss.ClientConfig{
		Endpoint:        variable(t, "OSS_TEST_ENDPOINT"),
		Region:          variable(t, "OSS_TEST_REGION"),
		Bucket:          variable(t, "OSS_TEST_BUCKET"),
		AccessKeyID:     variable(t, "OSS_TEST_ACCESS_KEY_ID"),
		AccessKeySecret: variable(t, "OSS_TEST_ACCESS_KEY_SECRET"),
		SecurityToken:   os.Getenv("OSS_TEST_SESSION_TOKEN"),
	}
}

// connect returns a client of a real store, whose bucket it makes if create.
func connect(t *testing.T, config oss.ClientConfig, create bool) *oss.Client {
	t.Helper()
	client, err := oss.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if create {
		if err := client.CreateBucket(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

// folderOf is a folder of a bucket for one test, empty again at its end.
func folderOf(t *testing.T, b blob.Bucket, folder string) blob.Bucket {
	b = blob.Prefix(b, folder+rand.Text())
	t.Cleanup(func() {
		var keys []string
		for info, err := range b.List(context.Background(), blob.ListOptions{}) {
			if err != nil {
				t.Error(err)
			}
			keys = append(keys, info.Key)
		}
		if err := b.Delete(context.Background(), keys...); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestS3(t *testing.T) {
	client := connect(t, realS3(t), true)
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return folderOf(t, client, "acceptance-") })
}

func TestOSS(t *testing.T) {
	client := connect(t, realOSS(t), false)
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return folderOf(t, client, "acceptance-") })
}

// TestS3Lent: what Lend gives a student is enough for all a bucket does in her
// folder, and for nothing outside of it.
func TestS3Lent(t *testing.T) {
	config := realS3(t)
	root := connect(t, config, true)
	const duration = 20 * time.Minute
	lend := func(prefix string) oss.ClientConfig {
		asked := time.Now()
		lent, expires, err := oss.Lend(t.Context(), config, prefix, duration)
		if err != nil {
			t.Fatal(err)
		}
		if life := expires.Sub(asked); life < duration-time.Minute || life > duration+time.Minute {
			t.Errorf("credentials live for %v, asked for %v", life, duration)
		}
		if lent.AccessKeyID == config.AccessKeyID || lent.SecurityToken == "" {
			t.Errorf("lent %v", lent)
		}
		return lent
	}
	alices := connect(t, lend("alice"), false)
	blobtest.AcceptanceTest(t, func(t *testing.T) blob.Bucket { return folderOf(t, alices, "alice/acceptance-") })

	ctx := t.Context()
	bobs := folderOf(t, root, "bob/")
	if err := bobs.Put(ctx, "secret", strings.NewReader("bob's")); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimPrefix(bobs.URI("secret"), root.URI(""))
	for _, outside := range []string{key, "alice", "alice2/x", "alic", "bob"} {
		_, err := alices.Get(ctx, outside)
		wantDenied(t, "Get "+outside, err)
		_, err = alices.Head(ctx, outside)
		wantDenied(t, "Head "+outside, err)
		wantDenied(t, "Put "+outside, alices.Put(ctx, outside, strings.NewReader("x")))
		wantDenied(t, "PutIfAbsent "+outside, alices.PutIfAbsent(ctx, outside, strings.NewReader("x")))
		wantDenied(t, "large Put "+outside, alices.Put(ctx, outside, bytes.NewReader(make([]byte, 33<<20))))
		wantDenied(t, "Delete "+outside, alices.Delete(ctx, outside))
		wantDenied(t, "Delete of many "+outside, alices.Delete(ctx, outside, outside+"2"))
	}
	for _, prefix := range []string{"", "bob/", "b", "alice", "alice2/"} {
		for _, err := range alices.List(ctx, blob.ListOptions{Prefix: prefix}) {
			wantDenied(t, "List "+prefix, err)
		}
	}
	if data, err := blob.ReadAll(ctx, bobs, "secret"); err != nil || string(data) != "bob's" {
		t.Errorf("bob's object is %q, %v", data, err)
	}
	if err := oss.ProvePutIfAbsent(ctx, blob.Prefix(alices, "alice")); err != nil {
		t.Error(err)
	}
	if _, _, err := oss.Lend(ctx, lend("carol"), "carol", duration); err == nil || !strings.Contains(err.Error(), "temporary") {
		t.Errorf("lending what is lent: %v", err)
	}
	forged := lend("carol")
	forged.SecurityToken += "x"
	err := connect(t, forged, false).Put(ctx, "carol/x", strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "OSS_SESSION_TOKEN") || strings.Contains(err.Error(), forged.SecurityToken) {
		t.Errorf("forged token: %v", err)
	}
}

func TestDiagnoseS3(t *testing.T) {
	config := realS3(t)
	connect(t, config, true)
	lent, _, err := oss.Lend(t.Context(), config, "alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	with := func(config oss.ClientConfig, change func(*oss.ClientConfig)) oss.ClientConfig {
		change(&config)
		return config
	}
	for _, test := range []struct {
		name       string
		config     oss.ClientConfig
		prefix     string
		step, hint string // of the failure
	}{
		{"nothing", config, "", "", ""},
		{"nothing, lent", lent, "alice", "", ""},
		{"folder of another", lent, "bob", "bucket", "LAKEKIT_WORKSPACE"},
		{"as OSS", with(config, func(c *oss.ClientConfig) { c.S3 = false }), "", "protocol", "LAKEKIT_PROFILE=docker"},
		{"wrong id", with(config, func(c *oss.ClientConfig) { c.AccessKeyID = "other" }), "", "login", "OSS_ACCESS_KEY_ID"},
		{"wrong secret", with(config, func(c *oss.ClientConfig) { c.AccessKeySecret = "other" }), "", "login", "OSS_ACCESS_KEY_SECRET"},
		{"token forgotten", with(lent, func(c *oss.ClientConfig) { c.SecurityToken = "" }), "alice", "login", "OSS_"},
		{"token of another", with(lent, func(c *oss.ClientConfig) { c.SecurityToken += "x" }), "alice", "login", "OSS_SESSION_TOKEN"},
		{"no bucket", with(config, func(c *oss.ClientConfig) { c.Bucket = "lakekit-none" }), "", "bucket", "OSS_BUCKET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := oss.Diagnose(t.Context(), test.config, test.prefix)
			last := steps[len(steps)-1]
			if test.step == "" && (!last.OK || last.Name != "put-if-absent") || test.step != "" && (last.OK || last.Name != test.step) || !strings.Contains(last.Hint, test.hint) {
				t.Errorf("ends with %+v, want %q and a hint with %q", last, test.step, test.hint)
			}
		})
	}
}

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrExist) || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("%s: error %v, want AccessDenied", what, err)
	}
}

// TestS3Versioned: on S3, unlike on OSS, versioning does no harm.
func TestS3Versioned(t *testing.T) {
	config := realS3(t)
	config.Bucket = "lakekit-test-versioned"
	client := connect(t, config, true)
	for _, status := range []string{"Enabled", "Suspended"} {
		if err := oss.SetVersioning(t.Context(), client, status); err != nil {
			t.Fatal(err)
		}
		if err := oss.ProvePutIfAbsent(t.Context(), client); err != nil {
			t.Errorf("versioning %s: %v", status, err)
		}
	}
}
