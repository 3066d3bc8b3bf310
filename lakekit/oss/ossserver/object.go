package ossserver

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/internal/folder"
)

// storedHeaders are kept with an object, besides x-oss-meta-*.
var storedHeaders = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Expires"}

// maxMeta is the limit of OSS for all of an object's x-oss-meta-* headers.
const maxMeta = 8 << 10 // bytes

func objectHeaders(from http.Header) (map[string]string, error) {
	headers := map[string]string{}
	for _, name := range storedHeaders {
		if value := from.Get(name); value != "" {
			headers[name] = value
		}
	}
	size := 0
	for name := range from {
		if strings.HasPrefix(name, "X-Oss-Meta-") {
			headers[name] = from.Get(name)
			size += len(name) + len(headers[name])
		}
	}
	if size > maxMeta {
		return nil, errInvalidArgument.with("The x-oss-meta-* headers exceed 8 KB.")
	}
	return headers, nil
}

// sums reads through to a body, and knows its digests at the end.
type sums struct {
	io.Reader
	md5 hash.Hash
	crc hash.Hash64
}

var crcTable = crc64.MakeTable(crc64.ECMA)

func summed(body io.Reader) *sums {
	s := &sums{md5: md5.New(), crc: crc64.New(crcTable)}
	s.Reader = io.TeeReader(body, io.MultiWriter(s.md5, s.crc))
	return s
}

func (s *sums) etag() string  { return fmt.Sprintf("%X", s.md5.Sum(nil)) }
func (s *sums) crc64() string { return strconv.FormatUint(s.crc.Sum64(), 10) }

// maxObject is the limit of OSS for one put and for one part, in bytes.
const maxObject = 5 << 30

// sent marks the errors of a request's body: they are not the server's.
type sent struct{ body io.Reader }

func (s sent) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if err != nil && err != io.EOF {
		err = bodyError{err}
	}
	return n, err
}

type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// receive stages the body of a request, checked against its Content-MD5.
func (s *server) receive(r *request, files *folder.Folder) (*folder.Staged, *sums, error) {
	if r.ContentLength > maxObject {
		return nil, nil, errEntityTooLarge
	}
	body := summed(sent{http.MaxBytesReader(nil, r.Body, maxObject)})
	staged, err := files.Stage(r.Context(), body)
	if err != nil {
		return nil, nil, err
	}
	if want := r.Header.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(body.md5.Sum(nil)) {
		staged.Discard()
		return nil, nil, errInvalidDigest
	}
	return staged, body, nil
}

func forbidsOverwrite(r *request) bool {
	return strings.EqualFold(r.Header.Get("X-Oss-Forbid-Overwrite"), "true")
}

// refuseOverwrite answers early where the object is there already; the race is
// decided when the file is placed.
func refuseOverwrite(r *request, files *folder.Folder) error {
	if !forbidsOverwrite(r) {
		return nil
	}
	if _, err := files.Stat(r.key); err == nil {
		return errFileAlreadyExists
	}
	return nil
}

func (s *server) putObject(w http.ResponseWriter, r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	headers, err := objectHeaders(r.Header)
	if err != nil {
		return err
	}
	if err := refuseOverwrite(r, files); err != nil {
		return err
	}
	staged, body, err := s.receive(r, files)
	if err != nil {
		return err
	}
	defer staged.Discard()
	m := metadata{Key: r.key, ETag: body.etag(), CRC64: body.crc64(), Type: "Normal", Headers: headers}
	if err := s.files.place(r.bucket, staged, &m, forbidsOverwrite(r)); err != nil {
		return err
	}
	w.Header().Set("ETag", quoted(m.ETag))
	w.Header().Set("X-Oss-Hash-Crc64ecma", m.CRC64)
	w.Header().Set("Content-Md5", base64.StdEncoding.EncodeToString(body.md5.Sum(nil)))
	w.WriteHeader(http.StatusOK)
	return nil
}

// open opens an object's file with the metadata that belongs to it.
func (s *server) open(bucket, key string) (*os.File, metadata, error) {
	files, err := s.files.bucket(bucket)
	if err != nil {
		return nil, metadata{}, err
	}
	lock := s.files.lock(bucket, key)
	lock.RLock()
	defer lock.RUnlock()
	file, info, err := files.Open(key)
	if err != nil {
		return nil, metadata{}, err
	}
	return file, s.files.describe(bucket, key, info), nil
}

func (s *server) getObject(w http.ResponseWriter, r *request) error {
	file, m, err := s.open(r.bucket, r.key)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := checkConditions(r.Header, "", m); err != nil {
		return err
	}
	standard := r.Header.Get("X-Oss-Range-Behavior") == "standard"
	start, length, partial, err := parseRange(r.Header.Get("Range"), m.Size, standard)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", m.Size))
		return err
	}
	setObjectHeaders(w.Header(), m)
	for _, name := range append(storedHeaders, "Content-Language") {
		if value := r.query.Get("response-" + strings.ToLower(name)); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	if partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, start+length-1, m.Size))
		w.WriteHeader(http.StatusPartialContent)
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if n, err := io.CopyN(w, file, length); err != nil {
		s.options.Logger.Debug("embedded object store: answer broke off", "bucket", r.bucket, "key", r.key, "bytes", n, "error", err)
		panic(http.ErrAbortHandler) // the client must not take it for the whole
	}
	return nil
}

func (s *server) headObject(w http.ResponseWriter, r *request) error {
	file, m, err := s.open(r.bucket, r.key)
	if err != nil {
		return err
	}
	file.Close()
	if err := checkConditions(r.Header, "", m); err != nil {
		return err
	}
	setObjectHeaders(w.Header(), m)
	w.Header().Set("Content-Length", strconv.FormatInt(m.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func setObjectHeaders(header http.Header, m metadata) {
	header.Set("Content-Type", "application/octet-stream")
	for name, value := range m.Headers {
		header.Set(name, value)
	}
	header.Set("Accept-Ranges", "bytes")
	header.Set("ETag", quoted(m.ETag))
	header.Set("Last-Modified", m.ModTime.UTC().Format(http.TimeFormat))
	header.Set("X-Oss-Object-Type", m.Type)
	header.Set("X-Oss-Storage-Class", storageClass)
	if m.CRC64 != "" {
		header.Set("X-Oss-Hash-Crc64ecma", m.CRC64)
	}
}

func quoted(etag string) string { return `"` + etag + `"` }

// parseRange is OSS's reading of a Range header: one that cannot be satisfied
// exactly is ignored, unless the client asks for the standard behavior.
func parseRange(header string, size int64, standard bool) (start, length int64, partial bool, err error) {
	from, to, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	if !ok || !strings.HasPrefix(header, "bytes=") {
		return 0, size, false, nil
	}
	last := size - 1
	switch {
	case from == "": // the last bytes
		n, err := strconv.ParseUint(to, 10, 63)
		if err != nil {
			return 0, size, false, nil
		}
		start = max(size-int64(n), 0)
		if n == 0 {
			start = size
		}
	default:
		n, err := strconv.ParseUint(from, 10, 63)
		if err != nil {
			return 0, size, false, nil
		}
		start = int64(n)
		if to != "" {
			n, err := strconv.ParseUint(to, 10, 63)
			if err != nil || int64(n) < start {
				return 0, size, false, nil
			}
			last = int64(n)
		}
	}
	switch {
	case start < size && last < size:
		return start, last - start + 1, true, nil
	case !standard:
		return 0, size, false, nil
	case start >= size:
		return 0, 0, false, errInvalidRange
	}
	return start, size - start, true, nil
}

// checkConditions evaluates If-Match and its like; with prefix
// "X-Oss-Copy-Source-" those on the source of a copy.
func checkConditions(header http.Header, prefix string, m metadata) error {
	modified := m.ModTime.Truncate(time.Second)
	since := func(name string) (time.Time, bool) {
		t, err := http.ParseTime(header.Get(prefix + name))
		return t, err == nil
	}
	matches := func(value string) bool {
		return value == "*" || strings.EqualFold(strings.Trim(value, `"`), m.ETag)
	}
	if value := header.Get(prefix + "If-Match"); value != "" && !matches(value) {
		return errPreconditionFailed
	}
	if t, ok := since("If-Unmodified-Since"); ok && modified.After(t) {
		return errPreconditionFailed
	}
	if value := header.Get(prefix + "If-None-Match"); value != "" && matches(value) {
		return errNotModified
	}
	if t, ok := since("If-Modified-Since"); ok && !modified.After(t) {
		return errNotModified
	}
	return nil
}

func (s *server) deleteObject(w http.ResponseWriter, r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	if err := s.files.remove(r.Context(), r.bucket, files, r.key); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxKeys is the limit of OSS for one request of DeleteMultipleObjects or
// ListObjects.
const maxKeys = 1000

type orderedDelete struct {
	Key       string
	VersionID string `xml:"VersionId"`
}

func (orderedDelete) most() int { return maxKeys }

func (s *server) deleteObjects(w http.ResponseWriter, r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	var order struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects list[orderedDelete] `xml:"Object"`
	}
	if err := readXML(r, &order); err != nil {
		return err
	}
	if len(order.Objects) == 0 {
		return errMalformedXML.with("DeleteMultipleObjects takes 1 to 1,000 keys.")
	}
	var keys []string
	for _, object := range order.Objects {
		if object.VersionID != "" {
			return errNotImplemented.with("The embedded object store keeps no versions.")
		}
		if err := checkKey(object.Key); err != nil {
			return err
		}
		keys = append(keys, object.Key)
	}
	if err := s.files.remove(r.Context(), r.bucket, files, keys...); err != nil {
		return err
	}
	encode := r.encoder()
	type deleted struct{ Key string }
	result := struct {
		XMLName      xml.Name  `xml:"DeleteResult"`
		EncodingType string    `xml:",omitempty"`
		Deleted      []deleted `xml:"Deleted"`
	}{EncodingType: r.query.Get("encoding-type")}
	if !order.Quiet {
		for _, key := range keys {
			result.Deleted = append(result.Deleted, deleted{encode(key)})
		}
	}
	return writeXML(w, result)
}

// maxXML is the limit of OSS for a document, in bytes: "DeleteMultipleObjects".
const maxXML = 2 << 20

// readXML reads a document of bounded size and depth. Lists in it bound
// themselves, see list.
func readXML(r *request, document any) error {
	if r.ContentLength > maxXML {
		return errMalformedXML.with("The XML is longer than 2 MB.")
	}
	digest := md5.New()
	body := io.TeeReader(http.MaxBytesReader(nil, r.Body, maxXML), digest)
	decoder := xml.NewTokenDecoder(&shallow{decoder: xml.NewDecoder(&tags{body: body})})
	err := decoder.Decode(document)
	if err == nil {
		_, err = io.Copy(io.Discard, body) // to its end, for the digest
	}
	var answer apiError
	var tooLong *http.MaxBytesError
	switch want := r.Header.Get("Content-Md5"); {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &tooLong):
		return errMalformedXML.with("The XML is longer than 2 MB.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errRequestTimeout
	case err != nil:
		return errMalformedXML
	case want != "" && want != base64.StdEncoding.EncodeToString(digest.Sum(nil)):
		return errInvalidDigest
	}
	return nil
}

// tags hands on a document of short tags and texts: the decoder holds each, and
// all of a tag's attributes, in memory before anyone sees it.
type tags struct {
	body        io.Reader
	length      int // of what began with the last "<"
	last        byte
	instruction bool // in <? ... ?>
}

// maxTag is more than the longest key with all of its characters escaped, in bytes.
const maxTag = 16 << 10

func (t *tags) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	for _, c := range p[:n] {
		t.length++
		switch {
		case t.last == '<' && c == '!':
			return 0, errMalformedXML.with("The XML may hold no comments, CDATA sections and document types.")
		case t.last == '<' && c == '?':
			t.instruction = true
		case t.instruction:
			t.instruction = t.last != '?' || c != '>'
		case c == '<':
			t.length = 0
		}
		if t.last = c; t.length > maxTag {
			return 0, errMalformedXML.with("The XML has an element that is too long.")
		}
	}
	return n, err
}

// shallow hands on a document whose elements lie in one another as far as those
// of OSS do.
type shallow struct {
	decoder *xml.Decoder
	depth   int
}

const maxDepth = 8

func (s *shallow) Token() (xml.Token, error) {
	token, err := s.decoder.RawToken()
	switch token.(type) {
	case xml.StartElement:
		if s.depth++; s.depth > maxDepth {
			return nil, errMalformedXML.with("The elements of the XML are too deep in one another.")
		}
	case xml.EndElement:
		s.depth--
	}
	return token, err
}

// list is a list in a document, of at most so many elements as its type says.
type list[E interface{ most() int }] []E

func (l *list[E]) UnmarshalXML(decoder *xml.Decoder, start xml.StartElement) error {
	var element E
	if len(*l) == element.most() {
		return errMalformedXML.with(fmt.Sprintf("The XML has more than %d elements %s.", len(*l), start.Name.Local))
	}
	if err := decoder.DecodeElement(&element, &start); err != nil {
		return err
	}
	*l = append(*l, element)
	return nil
}

// copySource opens the object that a request copies.
func (s *server) copySource(r *request) (*os.File, metadata, error) {
	source, version, versioned := strings.Cut(r.Header.Get("X-Oss-Copy-Source"), "?")
	if versioned {
		return nil, metadata{}, errNotImplemented.with("The embedded object store keeps no versions to copy: " + version)
	}
	source, err := url.QueryUnescape(source)
	if err != nil {
		return nil, metadata{}, errInvalidArgument.with("x-oss-copy-source is malformed.")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(source, "/"), "/")
	if !validBucketName(bucket) {
		return nil, metadata{}, errInvalidBucketName
	}
	if err := checkKey(key); err != nil {
		return nil, metadata{}, err
	}
	file, m, err := s.open(bucket, key)
	if err != nil {
		return nil, metadata{}, err
	}
	if err := checkConditions(r.Header, "X-Oss-Copy-Source-", m); err != nil {
		file.Close()
		return nil, metadata{}, err
	}
	return file, m, nil
}

func (s *server) copyObject(w http.ResponseWriter, r *request) error {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	if err := refuseOverwrite(r, files); err != nil {
		return err
	}
	file, m, err := s.copySource(r)
	if err != nil {
		return err
	}
	defer file.Close()
	switch directive := r.Header.Get("X-Oss-Metadata-Directive"); {
	case strings.EqualFold(directive, "REPLACE"):
		if m.Headers, err = objectHeaders(r.Header); err != nil {
			return err
		}
	case directive != "" && !strings.EqualFold(directive, "COPY"):
		return errInvalidArgument.with("x-oss-metadata-directive must be COPY or REPLACE.")
	}
	body := summed(file)
	staged, err := files.Stage(r.Context(), body)
	if err != nil {
		return err
	}
	defer staged.Discard()
	m.Key, m.ETag, m.CRC64, m.Type = r.key, body.etag(), body.crc64(), "Normal"
	if err := s.files.place(r.bucket, staged, &m, forbidsOverwrite(r)); err != nil {
		return err
	}
	w.Header().Set("ETag", quoted(m.ETag))
	w.Header().Set("X-Oss-Hash-Crc64ecma", m.CRC64)
	return writeXML(w, struct {
		XMLName      xml.Name `xml:"CopyObjectResult"`
		LastModified string
		ETag         string
	}{LastModified: timestamp(m.ModTime), ETag: quoted(m.ETag)})
}

// timestamp is the form of times in OSS's documents: whole seconds, with zeros
// that its clients insist on.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }
