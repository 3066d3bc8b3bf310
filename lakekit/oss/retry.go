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

	"taxilake/lakekit/oss/internal/folder"
)

const (
	attempts     = 5
	firstBackoff = 100 * time.Millisecond // doubled after every attempt, so 1.5 s in all
)

// retryKey does something to an object that may be done twice.
func (c *Client) retryKey(ctx context.Context, op, key string, attempt func() error) error {
	if err := folder.CheckKey(key); err != nil {
		return c.fail(op, key, err)
	}
	return c.retry(ctx, op, key, attempt)
}

// retry does something that may be done twice, to a key or prefix.
func (c *Client) retry(ctx context.Context, op, key string, attempt func() error) error {
	return c.retryIf(ctx, op, key, temporary, attempt)
}

// retryUnsent does something to an object that must not be done twice.
func (c *Client) retryUnsent(ctx context.Context, op, key string, attempt func() error) error {
	if err := folder.CheckKey(key); err != nil {
		return c.fail(op, key, err)
	}
	return c.retryIf(ctx, op, key, unsent, attempt)
}

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
		if n == attempts || ctx.Err() != nil || !again(err) {
			return c.fail(op, key, err)
		}
		// Half of it at random, so that clients do not come back all at once.
		if c.sleep(ctx, backoff/2+rand.N(backoff/2)) != nil {
			return c.fail(op, key, err)
		}
		backoff *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// temporary tells whether the same request may succeed when sent again.
func temporary(err error) bool {
	var body bodyError
	var service sdk.ServiceError
	var crc sdk.CRCCheckError
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
		return service.Code == "RequestTimeout"
	case errors.As(err, &crc), errors.As(err, &transport):
		return true
	}
	var network net.Error
	return errors.As(err, &network)
}

// unsent tells whether a request cannot have reached the store.
func unsent(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial"
}

// fail says what was being done to what, why it failed, and what to do next.
// No part of it is secret.
func (c *Client) fail(op, key string, err error) error {
	what := op + " " + c.URI(key)
	var service sdk.ServiceError
	if errors.As(err, &service) {
		switch {
		case service.Code == "FileAlreadyExists":
			return fmt.Errorf("%s: %w", what, ErrExist)
		case service.Code == "NoSuchKey", service.Code == "" && service.StatusCode == http.StatusNotFound:
			return fmt.Errorf("%s: %w", what, ErrNotExist)
		}
		return fmt.Errorf("%s: %w%s", what, storeError{service}, c.advice(service))
	}
	var transport *url.Error
	if errors.As(err, &transport) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer from the object store at %s: %w; %s", what, c.endpoint, transport.Err, c.adviceOnSilence())
	}
	if transport != nil {
		err = transport.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// storeError is an answer of the store, in few words.
type storeError struct{ sdk.ServiceError }

func (e storeError) Error() string {
	return fmt.Sprintf("%s (%s, status %d, request %s)", strings.TrimRight(e.Message, ". "), e.Code, e.StatusCode, e.RequestID)
}

func (e storeError) Unwrap() error { return e.ServiceError }

func (c *Client) advice(e sdk.ServiceError) string {
	switch e.Code {
	case "NoSuchBucket":
		return fmt.Sprintf("; create the bucket %q at %s, or correct OSS_BUCKET", c.config.Bucket, c.endpoint)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return "; check OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET: they are not those of " + c.endpoint
	case "AccessDenied":
		return "; give the account read and write access to the bucket, and check that endpoint and region are the bucket's"
	case "SecurityTokenExpired", "InvalidSecurityToken":
		return "; fetch new temporary credentials (OSS_SESSION_TOKEN)"
	case "RequestTimeTooSkewed":
		return "; set the clock of this machine"
	case "InsufficientStorage":
		return "; free disk space where the object store keeps its files"
	}
	return ""
}

func (c *Client) adviceOnSilence() string {
	if strings.HasSuffix(c.endpoint, ".aliyuncs.com") {
		return "check the network and OSS_ENDPOINT (an -internal endpoint answers inside its region only)"
	}
	return "the embedded store: `lakekit status` tells whether it runs, `lakekit up` starts it; another store: see whether it runs at OSS_ENDPOINT"
}
