package oss

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
)

// Step is a finding of Diagnose.
type Step struct {
	Name   string
	OK     bool
	Detail string // what was found
	Hint   string // what to do, if not OK
}

const (
	stepTimeout = 20 * time.Second
	maxSkew     = 15 * time.Minute // between the clocks of client and store; OSS and S3
)

// Diagnose tries one after the other what a bucket takes, from its address to
// put-if-absent, and ends with the first step that fails. It uses keys below a
// folder only, the workspace of a student perhaps, "" being the whole bucket,
// and deletes what it puts there.
func Diagnose(ctx context.Context, config ClientConfig, prefix string) []Step {
	d := &diagnosis{config: config, prefix: prefix, key: "_diagnosis_probe/" + rand.Text()}
	defer d.close(ctx)
	var steps []Step
	for _, step := range []struct {
		name string
		run  func(context.Context) (detail string, err error)
	}{
		{"address", d.address},
		{"name", d.name},
		{"port", d.port},
		{"TLS", d.tls},
		{"protocol", d.protocol},
		{"login", d.login},
		{"bucket", d.bucketThere},
		{"write", d.write},
		{"read", d.read},
		{"list", d.list},
		{"delete", d.delete},
		{"put-if-absent", d.putIfAbsent},
	} {
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		detail, err := step.run(stepCtx)
		cancel()
		if err == nil && detail == "" {
			continue // does not apply
		}
		steps = append(steps, d.step(step.name, detail, err))
		if err != nil {
			break
		}
	}
	return steps
}

// diagnosis is what the steps of one learn for the later ones.
type diagnosis struct {
	config ClientConfig
	prefix string
	key    string // of the probe object, below prefix

	client   *Client
	bucket   blob.Bucket    // below prefix
	endpoint *url.URL       // of the store
	host     string         // to connect to, "host:port": the store's or the proxy's
	proxied  string         // how that is said, or ""
	hello    *http.Response // to a request without a signature, its body at an end
	greeting string         // the beginning of its body
	listErr  error          // of the first signed request
	probed   bool           // the probe object may be there
}

func (d *diagnosis) step(name, detail string, err error) Step {
	if err == nil {
		return Step{Name: name, OK: true, Detail: detail}
	}
	var with advised
	if errors.As(err, &with) {
		return Step{Name: name, Detail: with.error.Error(), Hint: with.advice}
	}
	hint := "the store says no more than that: see its own log"
	if errors.Is(err, context.DeadlineExceeded) {
		hint = "the store did not answer in time: check the network, and OSS_ENDPOINT"
	}
	return Step{Name: name, Detail: err.Error(), Hint: hint}
}

// close deletes the probe object where a step before that has failed.
func (d *diagnosis) close(ctx context.Context) {
	if d.client == nil {
		return
	}
	if d.probed {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
		defer cancel()
		d.bucket.Delete(ctx, d.key) // it could be written, so most likely
	}
	d.client.Close()
}

func (d *diagnosis) address(context.Context) (string, error) {
	client, err := NewClient(d.config)
	if err != nil {
		return "", err
	}
	d.client, d.bucket = client, blob.Prefix(client, d.prefix)
	if d.endpoint, err = url.Parse(client.endpoint); err != nil {
		return "", err
	}
	target := d.endpoint
	proxy, err := client.http.Proxy(&http.Request{URL: d.endpoint})
	if err != nil {
		return "", advised{fmt.Errorf("the proxy of this machine: %w", err), "correct HTTP_PROXY, HTTPS_PROXY and NO_PROXY"}
	}
	if proxy != nil {
		target, d.proxied = proxy, " (the proxy of this machine: HTTP_PROXY, HTTPS_PROXY, NO_PROXY)"
	}
	port := target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[target.Scheme]
	}
	d.host = net.JoinHostPort(target.Hostname(), port)
	return d.config.String(), nil
}

func (d *diagnosis) name(ctx context.Context) (string, error) {
	host, _, _ := net.SplitHostPort(d.host)
	if net.ParseIP(host) != nil {
		return "", nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", advised{fmt.Errorf("the name %s%s does not resolve: %w", host, d.proxied, err), "check the network, and the spelling in OSS_ENDPOINT"}
	}
	return fmt.Sprintf("%s%s is %s", host, d.proxied, strings.Join(addresses, ", ")), nil
}

func (d *diagnosis) port(ctx context.Context) (string, error) {
	conn, err := d.client.http.DialContext(ctx, "tcp", d.host)
	if err != nil {
		return "", advised{fmt.Errorf("%s%s does not answer: %w", d.host, d.proxied, err), d.client.adviceOnSilence()}
	}
	conn.Close()
	return d.host + d.proxied + " answers", nil
}

// greet sends a request without a signature, which any store refuses in its own
// way.
func (d *diagnosis) greet(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.client.endpoint+"/", nil)
	if err != nil {
		return err
	}
	response, err := d.client.http.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return err
	}
	d.hello, d.greeting = response, string(body)
	return nil
}

func (d *diagnosis) tls(ctx context.Context) (string, error) {
	if d.endpoint.Scheme != "https" {
		return "", nil
	}
	err := d.greet(ctx)
	if err == nil {
		cert := d.hello.TLS.PeerCertificates[0]
		return fmt.Sprintf("%s, the certificate of %q by %q is valid until %s",
			tls.VersionName(d.hello.TLS.Version), cert.Subject, cert.Issuer, cert.NotAfter.Format(time.DateOnly)), nil
	}
	var refused *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &noTLS):
		return "", advised{fmt.Errorf("%s speaks HTTP without TLS", d.endpoint.Host), "begin OSS_ENDPOINT with http://"}
	case errors.As(err, &refused) && len(refused.UnverifiedCertificates) > 0:
		cert := refused.UnverifiedCertificates[0]
		return "", advised{fmt.Errorf("the certificate of %q by %q: %w", cert.Subject, cert.Issuer, refused.Err), certificateAdvice(refused.Err, cert)}
	}
	return "", advised{fmt.Errorf("TLS with %s: %w", d.endpoint.Host, err), "check that OSS_ENDPOINT names the HTTPS port, and that no proxy is in between"}
}

func certificateAdvice(err error, cert *x509.Certificate) string {
	var invalid x509.CertificateInvalidError
	var otherHost x509.HostnameError
	switch {
	case errors.As(err, &otherHost):
		names := slices.Clone(cert.DNSNames)
		for _, address := range cert.IPAddresses {
			names = append(names, address.String())
		}
		return "use a name of the certificate in OSS_ENDPOINT: " + strings.Join(names, ", ")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("it holds from %s to %s: renew it, or set the clock of this machine",
			cert.NotBefore.Format(time.DateOnly), cert.NotAfter.Format(time.DateOnly))
	}
	return "this machine does not trust its issuer, be it a proxy or a private authority: add the issuer's certificate to those of the system (SSL_CERT_FILE names another file of them)"
}

func (d *diagnosis) protocol(ctx context.Context) (string, error) {
	if d.hello == nil {
		if err := d.greet(ctx); err != nil {
			return "", advised{fmt.Errorf("%s does not answer in HTTP: %w", d.endpoint.Host, err), "check the scheme and the port in OSS_ENDPOINT"}
		}
	}
	header := d.hello.Header
	speaksOSS, speaksS3 := header.Get("X-Oss-Request-Id") != "", header.Get("X-Amz-Request-Id") != ""
	switch {
	case strings.Contains(d.greeting, "HTTP request to an HTTPS server"):
		return "", advised{fmt.Errorf("%s speaks TLS", d.endpoint.Host), "begin OSS_ENDPOINT with https://"}
	case !speaksOSS && !speaksS3:
		hint := "correct OSS_ENDPOINT"
		if strings.Contains(header.Get("Content-Type"), "html") {
			hint += "; if this is MinIO's console, the store itself is at another port, 9000 usually"
		}
		return "", advised{fmt.Errorf("%s answers %s, but is no object store", d.endpoint.Host, d.hello.Status), hint}
	case speaksS3 && !speaksOSS && !d.config.S3:
		return "", advised{fmt.Errorf("%s speaks S3, as MinIO does, and not OSS", d.endpoint.Host), "tell that to lakekit by LAKEKIT_PROFILE=docker, or correct OSS_ENDPOINT"}
	case speaksOSS && !speaksS3 && d.config.S3:
		return "", advised{fmt.Errorf("%s speaks OSS, and not S3", d.endpoint.Host), "use LAKEKIT_PROFILE=cloud for Aliyun OSS, or correct OSS_ENDPOINT"}
	}
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		if skew := time.Since(at); skew.Abs() > maxSkew {
			return "", advised{fmt.Errorf("the clock of this machine is %v off that of %s; signatures are good for %v", skew.Round(time.Minute), d.endpoint.Host, maxSkew), "set the clock of this machine"}
		}
	}
	if d.config.S3 {
		return d.endpoint.Host + " speaks S3", nil
	}
	return d.endpoint.Host + " speaks OSS", nil
}

// loginCodes are answers to a signature that is not accepted.
var loginCodes = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "RequestTimeTooSkewed": true,
	"InvalidSecurityToken": true, "SecurityTokenExpired": true, "SecurityTokenNotSupported": true,
	"ExpiredToken": true, "InvalidToken": true, "InvalidTokenId": true, "XMinioInvalidToken": true,
}

func (d *diagnosis) login(ctx context.Context) (string, error) {
	d.listErr = d.first(ctx)
	var service sdk.ServiceError
	switch {
	case d.listErr == nil:
	case !errors.As(d.listErr, &service), loginCodes[service.Code], isRegionError(service):
		return "", d.listErr
	}
	if d.config.SecurityToken != "" {
		return "the temporary credentials are accepted", nil
	}
	return "the access key is accepted", nil
}

// first lists at most one page, the least that takes a login.
func (d *diagnosis) first(ctx context.Context) error {
	for _, err := range d.bucket.List(ctx, blob.ListOptions{Delimiter: "/"}) {
		return err
	}
	return nil
}

func (d *diagnosis) bucketThere(context.Context) (string, error) {
	if d.listErr != nil {
		return "", d.listErr
	}
	return d.bucket.URI("") + " can be listed", nil
}

func (d *diagnosis) write(ctx context.Context) (string, error) {
	d.probed = true
	if err := d.bucket.Put(ctx, d.key, strings.NewReader(d.key)); err != nil {
		return "", err
	}
	return "an object can be put below " + d.bucket.URI(""), nil
}

func (d *diagnosis) read(ctx context.Context) (string, error) {
	data, err := blob.ReadAll(ctx, d.bucket, d.key)
	switch {
	case err != nil && !errors.Is(err, blob.ErrNotExist):
		return "", err
	case string(data) != d.key:
		return "", advised{fmt.Errorf("get %s: it is not what was put there", d.bucket.URI(d.key)), "use another store: this one cannot be relied upon"}
	}
	return "it can be read back", nil
}

func (d *diagnosis) list(ctx context.Context) (string, error) {
	for info, err := range d.bucket.List(ctx, blob.ListOptions{Prefix: d.key}) {
		switch {
		case err != nil:
			return "", err
		case info.Key == d.key:
			return "it is listed", nil
		}
	}
	return "", advised{fmt.Errorf("list %s: an object that was put is not there", d.bucket.URI(d.key)), "use another store: tables need listings that are up to date"}
}

func (d *diagnosis) delete(ctx context.Context) (string, error) {
	if err := d.bucket.Delete(ctx, d.key); err != nil {
		return "", err
	}
	d.probed = false
	return "it can be deleted", nil
}

func (d *diagnosis) putIfAbsent(ctx context.Context) (string, error) {
	if err := ProvePutIfAbsent(ctx, d.bucket); err != nil {
		return "", err
	}
	return "an object that is there is not overwritten", nil
}
