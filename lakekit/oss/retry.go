package oss

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/blob"
)

const (
	attempts     = 5
	firstBackoff = 100 * time.Millisecond // doubled after every attempt, so 1.5 s in all
)

// retryKey does something to an object that may be done twice.
func (c *Client) retryKey(ctx context.Context, op, key string, attempt func() error) error {
	if err := blob.CheckKey(key); err != nil {
		return c.fail(op, key, err)
	}
	return c.retry(ctx, op, key, attempt)
}

// retry does something that may be done twice, to a key or prefix.
func (c *Client) retry(ctx context.Context, op, key string, attempt func() error) error {
	return c.retryIf(ctx, op, key, temporary, attempt)
}

// retryIf does something to a key or prefix, and again where that may help.
func (c *Client) retryIf(ctx context.Context, op, key string, again func(error) bool, attempt func() error) error {
	backoff := firstBackoff
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return c.fail(op, key, err)
		}
		err := attempt()
		if err == nil {
			return nil
		}
		if n == attempts || !again(err) {
			return c.fail(op, key, err)
		}
		// Half of it at random, so that clients do not come back all at once.
		if c.sleep(ctx, backoff/2+rand.N(backoff/2)) != nil {
			if errors.Is(ctx.Err(), context.Canceled) {
				err = ctx.Err() // what else went wrong was not waited for
			}
			return c.fail(op, key, err)
		}
		backoff *= 2
	}
}

// temporary tells whether the same request may succeed when sent again.
func temporary(err error) bool {
	var body bodyError
	var service sdk.ServiceError
	var certificate x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var transport *url.Error
	switch {
	case errors.As(err, &body), errors.As(err, &certificate), errors.As(err, &hostname):
		return false
	case errors.As(err, &service):
		switch service.StatusCode {
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return service.Code == "RequestTimeout" || damaged(service)
	case errors.As(err, &transport):
		return true
	}
	var network net.Error
	return errors.As(err, &network)
}

// unstored tells whether a put cannot have stored its object, and may succeed
// when done again.
func unstored(err error) bool {
	var network *net.OpError
	var service sdk.ServiceError
	switch {
	case errors.As(err, &network):
		return network.Op == "dial"
	case errors.As(err, &service):
		// The conflict is S3's: another request on the key came in between, be
		// it a put or a delete.
		return damaged(service) || service.Code == "ConditionalRequestConflict"
	}
	return false
}

// damaged tells whether a store refused a body as not the one that was sent.
func damaged(e sdk.ServiceError) bool {
	return e.Code == "InvalidDigest" || e.Code == "BadDigest" || e.Code == "IncompleteBody"
}

// fail says what was being done to what, why it failed, and what to do next.
// No part of it is secret.
func (c *Client) fail(op, key string, err error) error {
	what := op + " " + c.URI(key)
	var service sdk.ServiceError
	if errors.As(err, &service) {
		switch {
		case service.Code == "FileAlreadyExists":
			return fmt.Errorf("%s: %w", what, blob.ErrExist)
		case service.Code == "NoSuchKey", service.Code == "" && service.StatusCode == http.StatusNotFound:
			return fmt.Errorf("%s: %w", what, blob.ErrNotExist)
		}
		return advise(fmt.Errorf("%s: %w", what, storeError{service}), c.advice(service))
	}
	var transport *url.Error
	if errors.As(err, &transport) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return advise(fmt.Errorf("%s: no answer from the object store at %s: %w", what, c.endpoint, silence{transport.Err}), c.adviceOnSilence())
	}
	if transport != nil {
		err = transport.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// advised is an error with what to do about it.
type advised struct {
	error
	advice string
}

func advise(err error, advice string) error {
	if advice == "" {
		return err
	}
	return advised{err, advice}
}

func (e advised) Error() string { return e.error.Error() + "; " + e.advice }

func (e advised) Unwrap() error { return e.error }

// storeError is an answer of the store, in few words.
type storeError struct{ sdk.ServiceError }

func (e storeError) Error() string {
	return fmt.Sprintf("%s (%s, status %d, request %s)", strings.TrimRight(e.Message, ". "), e.Code, e.StatusCode, e.RequestID)
}

func (e storeError) Unwrap() error { return e.ServiceError }

func (e storeError) Is(target error) bool {
	switch target {
	case blob.ErrNoBucket:
		return e.Code == "NoSuchBucket"
	case blob.ErrDenied:
		return e.StatusCode == http.StatusForbidden || isRegionError(e.ServiceError)
	case blob.ErrUnavailable:
		return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests
	}
	return false
}

// silence is why no answer came.
type silence struct{ error }

func (e silence) Unwrap() error { return e.error }

func (silence) Is(target error) bool { return target == blob.ErrUnavailable }

func (c *Client) advice(e sdk.ServiceError) string {
	if isRegionError(e) {
		return fmt.Sprintf("correct OSS_REGION, it is %q", c.config.Region)
	}
	switch e.Code {
	case "NoSuchBucket":
		return fmt.Sprintf("create the bucket %q at %s, or correct OSS_BUCKET", c.config.Bucket, c.endpoint)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		switch {
		case c.config.SecurityToken != "":
			return "fetch new temporary credentials: OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN belong together, and expire"
		case strings.HasPrefix(c.config.AccessKeyID, "STS."):
			return "set OSS_SESSION_TOKEN: OSS_ACCESS_KEY_ID is of temporary credentials"
		}
		return "check OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET: they are not those of " + c.endpoint
	case "AccessDenied":
		if e.Endpoint != "" {
			return "the bucket is at " + e.Endpoint + ": set OSS_ENDPOINT and OSS_REGION to that"
		}
		if c.config.SecurityToken != "" {
			return "the temporary credentials do not reach that far: check OSS_BUCKET and LAKEKIT_WORKSPACE, or ask for others"
		}
		return "give the account read and write access there, and check that endpoint and region are the bucket's"
	case "SecurityTokenExpired", "InvalidSecurityToken", // OSS
		"ExpiredToken", "InvalidToken", "InvalidTokenId", "XMinioInvalidToken": // S3
		return "fetch new temporary credentials (OSS_SESSION_TOKEN)"
	case "RequestTimeTooSkewed":
		return "set the clock of this machine"
	case "InsufficientStorage", "XMinioStorageFull":
		return "free disk space where the object store keeps its files"
	}
	switch {
	case e.StatusCode == http.StatusTooManyRequests, e.StatusCode == http.StatusServiceUnavailable:
		return "the object store is overloaded or starting; try again in a minute"
	case e.Code == "" && e.StatusCode == http.StatusForbidden: // a HEAD has no body to say more
		return "check OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, and that the account may read the bucket"
	}
	return ""
}

// isRegionError tells whether a store refused a signature for its region. OSS
// and the embedded server have no code of their own for that.
func isRegionError(e sdk.ServiceError) bool {
	return e.Code == "AuthorizationHeaderMalformed" || e.Code == "InvalidRegion" ||
		e.Code == "InvalidArgument" && strings.Contains(e.Message, "region")
}

func (c *Client) adviceOnSilence() string {
	if isAliyun(c.endpoint) {
		return "check the network and OSS_ENDPOINT (an -internal endpoint answers inside its region only)"
	}
	if c.config.S3 {
		return "check OSS_ENDPOINT, and whether the store runs there (`make docker-up` starts the one of the docker profile)"
	}
	return "the embedded store: `lakekit status` tells whether it runs, `lakekit up` starts it; another store: see whether it runs at OSS_ENDPOINT"
}
