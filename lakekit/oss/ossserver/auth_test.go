package ossserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// tamper changes requests on their way, after they were signed.
type tamper func(*http.Request)

func (change tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	change(r)
	return readFirst{}.RoundTrip(r)
}

func TestRejectedSignatures(t *testing.T) {
	on := func(change tamper) []sdk.ClientOption {
		return []sdk.ClientOption{sdk.HTTPClient(&http.Client{Transport: change})}
	}
	setQuery := func(r *http.Request, name, value string) {
		query := r.URL.Query()
		query.Set(name, value)
		r.URL.RawQuery = query.Encode()
	}
	for name, signature := range map[string][]sdk.ClientOption{"V1": nil, "V4": v4} {
		for _, test := range []struct {
			name    string
			id      string
			secret  string
			skew    time.Duration // of the server's clock
			options []sdk.ClientOption
			status  int // 0: accepted
			code    string
		}{
			{name: "right"},
			{name: "clock within 15 minutes", skew: 14 * time.Minute},
			{name: "wrong secret", secret: "other", status: 403, code: "SignatureDoesNotMatch"},
			{name: "no secret", secret: " ", status: 403, code: "SignatureDoesNotMatch"},
			{name: "wrong id", id: "other", status: 403, code: "InvalidAccessKeyId"},
			{name: "old", skew: 16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
			{name: "from the future", skew: -16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
			{name: "unsigned", options: on(func(r *http.Request) { r.Header.Del("Authorization") }), status: 403, code: "AccessDenied"},
			{name: "V2", options: []sdk.ClientOption{sdk.AuthVersion(sdk.AuthV2)}, status: 400, code: "InvalidArgument"},
			{name: "Basic", options: on(func(r *http.Request) { r.SetBasicAuth(accessKeyID, accessKeySecret) }), status: 400, code: "InvalidArgument"},
			{name: "malformed", options: on(func(r *http.Request) {
				r.Header.Set("Authorization", r.Header.Get("Authorization")[:8])
			}), status: 400, code: "InvalidArgument"},
			{name: "other method", options: on(func(r *http.Request) { r.Method = http.MethodPost; setQuery(r, "uploads", "") }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "other key", options: on(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/lake/other", "" }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "other bucket", options: on(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/bake/key", "" }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "subresource added", options: on(func(r *http.Request) { setQuery(r, "uploadId", "x") }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "other content type", options: on(func(r *http.Request) { r.Header.Set("Content-Type", "text/evil") }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "header added", options: on(func(r *http.Request) { r.Header.Set("X-Oss-Forbid-Overwrite", "false") }), status: 403, code: "SignatureDoesNotMatch"},
			{name: "other date", options: on(func(r *http.Request) {
				r.Header.Set("Date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
			}), status: 403, code: "SignatureDoesNotMatch"},
			{name: "no date", options: on(func(r *http.Request) { r.Header.Del("Date") }), status: 403, code: "AccessDenied"},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				address, _ := start(t, func() time.Time { return time.Now().Add(test.skew) })
				client := connectAs(t, address, first(test.id, accessKeyID), first(test.secret, accessKeySecret), append(signature, test.options...)...)
				bucket, err := client.Bucket("lake")
				check(t, err)
				err = bucket.PutObject("key", strings.NewReader("x"))
				if test.status == 0 {
					wantCode(t, err, 404, "NoSuchBucket") // it got as far as that
					return
				}
				wantCode(t, err, test.status, test.code)
				if strings.Contains(err.Error(), accessKeySecret) {
					t.Errorf("the secret is in %v", err)
				}
			})
		}
	}
}

func TestRejectedV4(t *testing.T) {
	address, _ := start(t, nil)
	for _, test := range []struct {
		name    string
		options []sdk.ClientOption
		status  int
		code    string
	}{
		{"other region", []sdk.ClientOption{sdk.AuthVersion(sdk.AuthV4), sdk.Region("cn-beijing")}, 400, "InvalidArgument"},
		{"additional headers", append(v4, sdk.AdditionalHeaders([]string{"host", "user-agent"})), 404, "NoSuchBucket"}, // accepted
		{"additional header changed", append(v4, sdk.AdditionalHeaders([]string{"user-agent"}),
			sdk.HTTPClient(&http.Client{Transport: tamper(func(r *http.Request) { r.Header.Set("User-Agent", "other") })})), 403, "SignatureDoesNotMatch"},
		{"any query changed", append(v4,
			sdk.HTTPClient(&http.Client{Transport: tamper(func(r *http.Request) { r.URL.RawQuery += "&prefix=x" })})), 403, "SignatureDoesNotMatch"},
		{"day of another date", append(v4, sdk.HTTPClient(&http.Client{Transport: tamper(func(r *http.Request) {
			day := "/" + time.Now().UTC().Format("20060102") + "/"
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), day, "/20200101/", 1))
		})})), 400, "InvalidArgument"},
		{"payload hash", append(v4, sdk.HTTPClient(&http.Client{Transport: tamper(func(r *http.Request) {
			r.Header.Set("X-Oss-Content-Sha256", strings.Repeat("0", 64))
		})})), 400, "InvalidArgument"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bucket, err := connect(t, address, test.options...).Bucket("lake")
			check(t, err)
			wantCode(t, bucket.PutObject("key", strings.NewReader("x")), test.status, test.code)
		})
	}
}

func TestSignedURLExpires(t *testing.T) {
	for name, options := range map[string][]sdk.ClientOption{"V1": nil, "V4": v4} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			address, _ := start(t, func() time.Time { return now })
			client := connect(t, address, options...)
			check(t, client.CreateBucket("lake"))
			bucket, err := client.Bucket("lake")
			check(t, err)
			check(t, bucket.PutObject("key", strings.NewReader("x")))
			signed, err := bucket.SignURL("key", sdk.HTTPGet, 60)
			check(t, err)
			body, err := bucket.GetObjectWithURL(signed)
			check(t, err)
			body.Close()
			now = now.Add(62 * time.Second)
			_, err = bucket.GetObjectWithURL(signed)
			wantCode(t, err, 403, "AccessDenied")
		})
	}
	t.Run("V4 for more than a week", func(t *testing.T) {
		address, _ := start(t, nil)
		bucket, err := connect(t, address, v4...).Bucket("lake")
		check(t, err)
		signed, err := bucket.SignURL("key", sdk.HTTPGet, 604801)
		check(t, err)
		_, err = bucket.GetObjectWithURL(signed)
		wantCode(t, err, 400, "InvalidArgument")
	})
}

// TestHostStyle: an endpoint by name puts the bucket into the host.
func TestHostStyle(t *testing.T) {
	address, _ := start(t, nil)
	server, err := url.Parse(address)
	check(t, err)
	dial := tamper(func(r *http.Request) {
		r.Host, r.URL.Host = r.URL.Host, server.Host // a resolver may not know *.localhost
	})
	for name, options := range map[string][]sdk.ClientOption{"V1": nil, "V4": v4} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, "http://localhost:"+server.Port(), append(options, sdk.HTTPClient(&http.Client{Transport: dial}))...)
			check(t, client.CreateBucket("lake"))
			bucket, err := client.Bucket("lake")
			check(t, err)
			check(t, bucket.PutObject("a/b c+d", strings.NewReader("content")))
			if got := content(t, bucket, "a/b c+d"); got != "content" {
				t.Errorf("got %q", got)
			}
			if exists, err := client.IsBucketExist("lake"); err != nil || !exists {
				t.Errorf("IsBucketExist = %t, %v", exists, err)
			}
		})
	}
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
