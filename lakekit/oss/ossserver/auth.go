package ossserver

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxSkew       = 15 * time.Minute   // between the clocks of client and server
	maxExpiryV4   = 7 * 24 * time.Hour // of a signed URL
	algorithmV4   = "OSS4-HMAC-SHA256"
	timeV4        = "20060102T150405Z"
	dayV4         = "20060102"
	requestTypeV4 = "aliyun_v4_request"
	unsigned      = "UNSIGNED-PAYLOAD"
)

// authenticate verifies the signature: "Include signatures in the
// Authorization header" and "Add signatures to URLs", V1 and V4, of the OSS
// API reference.
func (s *server) authenticate(r *request) error {
	authorization := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(authorization, algorithmV4+" "):
		return s.verifyHeaderV4(r, authorization)
	case strings.HasPrefix(authorization, "OSS "):
		return s.verifyHeaderV1(r, authorization)
	case authorization != "":
		return errInvalidArgument.with("Unsupported authorization type; sign with OSS V4 or V1.")
	case r.query.Get("x-oss-signature-version") == algorithmV4:
		return s.verifyURLV4(r)
	case r.has("Signature"):
		return s.verifyURLV1(r)
	}
	return errAccessDenied
}

// V1

func (s *server) verifyHeaderV1(r *request, authorization string) error {
	accessKeyID, got, ok := strings.Cut(strings.TrimPrefix(authorization, "OSS "), ":")
	if !ok {
		return errInvalidArgument.with("The Authorization header is malformed.")
	}
	date := first(r.Header.Get("X-Oss-Date"), r.Header.Get("Date"))
	signedAt, err := http.ParseTime(date)
	if err != nil {
		return errAccessDenied.with("The request has no valid Date header.")
	}
	if s.options.Clock().Sub(signedAt).Abs() > maxSkew {
		return errTimeTooSkewed
	}
	return s.compare(accessKeyID, got, func() signature { return s.signatureV1(r, date) })
}

func (s *server) verifyURLV1(r *request) error {
	expires, err := strconv.ParseInt(r.query.Get("Expires"), 10, 64)
	if err != nil {
		return errAccessDenied.with("The signed URL has no valid Expires.")
	}
	if s.options.Clock().Unix() > expires {
		return errAccessDenied.with("Request has expired.")
	}
	return s.compare(r.query.Get("OSSAccessKeyId"), r.query.Get("Signature"), func() signature {
		return s.signatureV1(r, r.query.Get("Expires"))
	})
}

func (s *server) signatureV1(r *request, date string) signature {
	var text strings.Builder
	for _, line := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), date} {
		text.WriteString(line + "\n")
	}
	headers := signedHeaders(r, nil)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if strings.HasPrefix(name, "x-oss-") {
			text.WriteString(name + ":" + headers[name] + "\n")
		}
	}
	text.WriteString("/")
	if r.bucket != "" {
		text.WriteString(r.bucket + "/" + r.key)
	}
	separator := "?"
	for _, name := range slices.Sorted(maps.Keys(r.query)) {
		if !signedV1[name] {
			continue
		}
		text.WriteString(separator + name)
		separator = "&"
		if value := r.query.Get(name); value != "" {
			text.WriteString("=" + value)
		}
	}
	mac := hmac.New(sha1.New, []byte(s.options.AccessKeySecret))
	mac.Write([]byte(text.String()))
	return signature{value: base64.StdEncoding.EncodeToString(mac.Sum(nil)), stringToSign: text.String()}
}

// signedV1 are the query parameters under a V1 signature, implemented here or
// not: the subresources and the overrides of response headers.
var signedV1 = func() map[string]bool {
	signed := map[string]bool{}
	for _, name := range strings.Fields(`
		acl append asyncFetch bucketInfo callback callback-var cloudboxes cname comp continuation-token cors delete
		encryption endTime img inventory inventoryId lifecycle live location logging metaQuery objectMeta
		partNumber policy position qos qosInfo referer regionList replication replicationLocation
		replicationProgress requestPayment resourceGroup response-cache-control response-content-disposition
		response-content-encoding response-content-language response-content-type response-expires
		responseHeader restore rtc security-token sequential startTime stat status style styleName symlink
		tagging transferAcceleration udf udfApplication udfApplicationLog udfId udfImage udfImageDesc udfName
		uploadId uploads versionId versioning versions vod website withHashContext worm wormExtend wormId
		x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-async-process
		x-oss-enable-md5 x-oss-enable-sha1 x-oss-enable-sha256 x-oss-hash-ctx x-oss-md5-ctx x-oss-process
		x-oss-request-payer x-oss-traffic-limit`) {
		signed[name] = true
	}
	return signed
}()

// V4

// scopeV4 is the credential of a V4 signature: ID/day/region/oss/aliyun_v4_request.
type scopeV4 struct{ accessKeyID, day, region, product string }

func parseScopeV4(credential string) (scopeV4, bool) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != requestTypeV4 {
		return scopeV4{}, false
	}
	return scopeV4{parts[0], parts[1], parts[2], parts[3]}, true
}

// authorizationV4 is what a V4 Authorization header says.
type authorizationV4 struct {
	scope      scopeV4
	additional []string // names of further signed headers
	signature  string
}

func parseAuthorizationV4(header string) (authorizationV4, bool) {
	var a authorizationV4
	var scoped bool
	for field := range strings.SplitSeq(strings.TrimPrefix(header, algorithmV4), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return a, false
		}
		switch name {
		case "Credential":
			a.scope, scoped = parseScopeV4(value)
		case "AdditionalHeaders":
			a.additional = splitHeaders(value)
		case "Signature":
			a.signature = value
		default:
			return a, false
		}
	}
	return a, scoped && a.signature != ""
}

func splitHeaders(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(c rune) bool { return c == ';' })
}

func (s *server) verifyHeaderV4(r *request, header string) error {
	authorization, ok := parseAuthorizationV4(header)
	if !ok {
		return errInvalidArgument.with("The Authorization header is malformed.")
	}
	if r.Header.Get("X-Oss-Content-Sha256") != unsigned {
		return errInvalidArgument.with("x-oss-content-sha256 must be " + unsigned + ".")
	}
	date := r.Header.Get("X-Oss-Date")
	signedAt, err := time.Parse(timeV4, date)
	if date == "" {
		date = r.Header.Get("Date")
		signedAt, err = http.ParseTime(date)
	}
	if err != nil {
		return errAccessDenied.with("The request has no valid x-oss-date or Date header.")
	}
	if s.options.Clock().Sub(signedAt).Abs() > maxSkew {
		return errTimeTooSkewed
	}
	if err := s.checkScopeV4(authorization.scope, signedAt); err != nil {
		return err
	}
	return s.compare(authorization.scope.accessKeyID, authorization.signature, func() signature {
		return s.signatureV4(r, authorization.scope, authorization.additional, date)
	})
}

func (s *server) verifyURLV4(r *request) error {
	scope, ok := parseScopeV4(r.query.Get("x-oss-credential"))
	if !ok {
		return errInvalidArgument.with("x-oss-credential is malformed.")
	}
	date := r.query.Get("x-oss-date")
	signedAt, err := time.Parse(timeV4, date)
	if err != nil {
		return errInvalidArgument.with("x-oss-date is malformed.")
	}
	seconds, err := strconv.ParseUint(r.query.Get("x-oss-expires"), 10, 31)
	expiry := time.Duration(seconds) * time.Second
	if err != nil || expiry > maxExpiryV4 {
		return errInvalidArgument.with("x-oss-expires must be at most 604800 seconds.")
	}
	now := s.options.Clock()
	switch {
	case now.Before(signedAt.Add(-maxSkew)):
		return errTimeTooSkewed
	case now.After(signedAt.Add(expiry)):
		return errAccessDenied.with("Request has expired.")
	}
	if err := s.checkScopeV4(scope, signedAt); err != nil {
		return err
	}
	return s.compare(scope.accessKeyID, r.query.Get("x-oss-signature"), func() signature {
		return s.signatureV4(r, scope, splitHeaders(r.query.Get("x-oss-additional-headers")), date)
	})
}

func (s *server) checkScopeV4(scope scopeV4, signedAt time.Time) error {
	switch {
	case scope.day != signedAt.UTC().Format(dayV4):
		return errInvalidArgument.with("The day of the credential is not that of the request's date.")
	case s.options.Region != "" && scope.region != s.options.Region:
		return errInvalidArgument.with("The credential is for region " + strconv.Quote(scope.region) + ", this is " + strconv.Quote(s.options.Region) + ".")
	}
	return nil
}

func (s *server) signatureV4(r *request, scope scopeV4, additional []string, date string) signature {
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n/")
	if r.bucket != "" {
		canonical.WriteString(r.bucket + "/" + strings.ReplaceAll(escape(r.key), "%2F", "/"))
	}
	canonical.WriteString("\n" + canonicalQueryV4(r.query) + "\n")
	slices.Sort(additional)
	headers := signedHeaders(r, additional)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		canonical.WriteString(name + ":" + strings.TrimSpace(headers[name]) + "\n")
	}
	canonical.WriteString("\n" + strings.Join(additional, ";") + "\n" + unsigned)

	hash := sha256.Sum256([]byte(canonical.String()))
	text := strings.Join([]string{
		algorithmV4,
		date,
		strings.Join([]string{scope.day, scope.region, scope.product, requestTypeV4}, "/"),
		hex.EncodeToString(hash[:]),
	}, "\n")
	key := []byte("aliyun_v4" + s.options.AccessKeySecret)
	for _, part := range []string{scope.day, scope.region, scope.product, requestTypeV4, text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return signature{hex.EncodeToString(key), text, canonical.String()}
}

func canonicalQueryV4(query url.Values) string {
	var pairs []string
	for name := range query {
		if name == "x-oss-signature" {
			continue
		}
		pairs = append(pairs, escape(name)+"\x00"+escape(query.Get(name)))
	}
	slices.Sort(pairs) // by name: \x00 sorts before all that a name can hold
	for i, pair := range pairs {
		pairs[i] = strings.TrimSuffix(strings.Replace(pair, "\x00", "=", 1), "=")
	}
	return strings.Join(pairs, "&")
}

// signedHeaders are the headers under a signature, by their names in lower case.
func signedHeaders(r *request, additional []string) map[string]string {
	headers := map[string]string{}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		if name == "content-md5" || name == "content-type" || strings.HasPrefix(name, "x-oss-") || slices.Contains(additional, name) {
			headers[name] = values[0]
		}
	}
	if slices.Contains(additional, "host") {
		headers["host"] = r.Host
	}
	return headers
}

// signature is the right one of a request, and what it was made of.
type signature struct{ value, stringToSign, canonicalRequest string }

func (s *server) compare(accessKeyID, got string, expected func() signature) error {
	if !hmac.Equal([]byte(accessKeyID), []byte(s.options.AccessKeyID)) {
		return errInvalidAccessKeyID
	}
	if right := expected(); !hmac.Equal([]byte(got), []byte(right.value)) {
		answer := errSignatureDoesNotMatch
		answer.signed = &signed{accessKeyID, got, right.stringToSign, right.canonicalRequest}
		return answer
	}
	return nil
}

// escape is the URI encoding of OSS signatures and encoding-type=url.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
