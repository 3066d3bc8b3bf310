package oss

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// s3 lets the OSS SDK speak to a store that speaks S3: it translates requests
// and signs them anew, and translates the answers back. It knows what Client
// sends, no more. The differences are those of the two API references.
type s3 struct {
	wire        http.RoundTripper
	signer      *v4.Signer
	credentials aws.Credentials
	region      string
}

const (
	defaultS3Region = "us-east-1"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

func newS3(wire http.RoundTripper, config ClientConfig) *s3 {
	region := config.Region
	if region == "" {
		region = defaultS3Region
	}
	return &s3{
		wire:   wire,
		region: region,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
		credentials: aws.Credentials{
			AccessKeyID: config.AccessKeyID, SecretAccessKey: config.AccessKeySecret, SessionToken: config.SecurityToken,
		},
	}
}

// RoundTrip implements http.RoundTripper.
func (s *s3) RoundTrip(r *http.Request) (*http.Response, error) {
	request := toS3(r)
	if err := s.sign(request, unsignedPayload, "s3"); err != nil {
		return nil, err
	}
	response, err := s.wire.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if err := fromS3(response, request); err != nil {
		return nil, err
	}
	return response, nil
}

func (s *s3) sign(r *http.Request, payloadHash, service string) error {
	r.Header.Set("X-Amz-Content-Sha256", payloadHash)
	if err := s.signer.SignHTTP(r.Context(), s.credentials, r, payloadHash, service, s.region, time.Now()); err != nil {
		return fmt.Errorf("sign a request to %s: %w", r.URL.Host, err)
	}
	return nil
}

// ofOSS are headers that mean nothing on S3, or that net/http writes itself.
var ofOSS = map[string]bool{
	"Authorization": true, "Date": true, "X-Oss-Date": true, "X-Oss-Content-Sha256": true,
	"X-Oss-Security-Token": true, "X-Oss-Range-Behavior": true, "Host": true, "Content-Length": true,
}

// toS3 is an OSS request as one of S3, without a signature.
func toS3(r *http.Request) *http.Request {
	request := r.Clone(r.Context())
	request.Header = http.Header{}
	for name, values := range r.Header {
		switch {
		case ofOSS[name]:
		case name == "X-Oss-Forbid-Overwrite":
			request.Header.Set("If-None-Match", "*")
		default:
			request.Header[fromTo(name, "X-Oss-", "X-Amz-")] = values
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	request.URL.Path = "/" + bucket + "/" + key
	request.URL.RawPath = "/" + escapeS3(bucket) + "/" + escapeS3(key)

	query := request.URL.Query()
	query.Del("objectMeta")
	request.URL.RawQuery = query.Encode()

	createsBucket := r.Method == http.MethodPut && key == "" && len(query) == 0 // the body is OSS's own
	if r.Header.Get("Content-Length") == "0" || createsBucket {
		// net/http would send it chunked, which S3 refuses (411).
		request.Body, request.ContentLength = http.NoBody, 0
	}
	return request
}

func fromTo(name, from, to string) string {
	if rest, ok := strings.CutPrefix(name, from); ok {
		return to + rest
	}
	return name
}

// escapeS3 is the URI encoding of AWS signatures, with "/" left as it is.
func escapeS3(path string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/", "%7E", "~").Replace(url.QueryEscape(path))
}

// fromS3 turns an answer into one of OSS.
func fromS3(response *http.Response, request *http.Request) error {
	header := http.Header{}
	for name, values := range response.Header {
		header[fromTo(name, "X-Amz-", "X-Oss-")] = values
	}
	response.Header = header
	if request.Method == http.MethodHead {
		// S3 gives no reason here, MinIO does in headers of its own.
		if code := header.Get("X-Minio-Error-Code"); code != "" {
			answer := s3Error{Code: code, Message: strings.Trim(header.Get("X-Minio-Error-Desc"), `"`)}
			header.Set("X-Oss-Err", base64.StdEncoding.EncodeToString(answer.xml()))
		}
		return nil
	}
	query := request.URL.Query()
	listing := request.Method == http.MethodGet && query.Has("list-type")
	if response.StatusCode < 300 && request.Method != http.MethodPost && !listing {
		return nil // has no body but the object's
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return fmt.Errorf("read the answer of the object store: %w", err)
	}
	var failure s3Error
	switch {
	case xml.Unmarshal(body, &failure) == nil: // a multipart upload may fail with status 200
		body = failure.translate(response, request.Header.Get("If-None-Match") != "")
	case listing:
		body = nextToken.ReplaceAllFunc(body, escapeToken)
	case query.Has("delete"):
		body, err = deleteResult(response, body)
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	header.Set("Content-Length", strconv.Itoa(len(body)))
	return err
}

// nextToken is not URL encoded in a listing that is; the SDK decodes it.
var nextToken = regexp.MustCompile(`<NextContinuationToken>[^<]*`)

func escapeToken(element []byte) []byte {
	name, token, _ := bytes.Cut(element, []byte(">"))
	return fmt.Appendf(nil, "%s>%s", name, url.QueryEscape(string(token)))
}

// s3Error is an answer other than success.
type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

func (e s3Error) xml() []byte {
	document, err := xml.Marshal(e)
	if err != nil {
		return fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", e.Code)
	}
	return document
}

// translate gives the answer the status and code of OSS.
func (e s3Error) translate(response *http.Response, forbidsOverwrite bool) []byte {
	switch {
	case e.Code == "BucketAlreadyOwnedByYou":
		response.StatusCode = http.StatusOK
		return nil
	case e.Code == "PreconditionFailed" && forbidsOverwrite:
		response.StatusCode, e.Code = http.StatusConflict, "FileAlreadyExists"
	case response.StatusCode < 300:
		response.StatusCode = statusOf(e.Code)
	}
	return e.xml()
}

// statusOf is the status of an error that came with status 200.
func statusOf(code string) int {
	switch code {
	case "AccessDenied":
		return http.StatusForbidden
	case "InternalError", "SlowDown":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// deleteResult is the answer to a multi-delete with its keys URL encoded, as
// the SDK wants them. One key that could not be deleted makes it an error.
func deleteResult(response *http.Response, body []byte) ([]byte, error) {
	type entry struct{ Key string }
	var result struct {
		XMLName xml.Name `xml:"DeleteResult"`
		Deleted []entry
		Error   []s3Error
	}
	if err := xml.Unmarshal(body, &result); err != nil {
		return nil, fmt.Errorf("read the answer of the object store to a delete: %w", err)
	}
	if len(result.Error) > 0 {
		response.StatusCode = statusOf(result.Error[0].Code)
		return result.Error[0].xml(), nil
	}
	for i := range result.Deleted {
		result.Deleted[i].Key = url.QueryEscape(result.Deleted[i].Key)
	}
	return xml.Marshal(result)
}
