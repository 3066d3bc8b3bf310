package ossserver

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strconv"
)

type owner struct{ ID, DisplayName string }

var theOwner = owner{"0000000000000000", "lakekit"}

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"` // version 1
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"` // version 2
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []listedObject
	CommonPrefixes        []commonPrefix
}

type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type commonPrefix struct{ Prefix string }

// listObjects is GetBucket (ListObjects) and ListObjectsV2.
func (s *server) listObjects(w http.ResponseWriter, r *request) error {
	limit, err := r.maxKeys()
	if err != nil {
		return err
	}
	v2 := r.query.Get("list-type") == "2"
	after := r.query.Get("marker")
	if v2 {
		after = r.query.Get("start-after")
		if token := r.query.Get("continuation-token"); token != "" {
			last, err := base64.RawURLEncoding.DecodeString(token)
			if err != nil {
				return errInvalidArgument.with("The continuation token is not one of this server.")
			}
			after = string(last)
		}
	}
	entries, truncated, err := s.page(r, after, limit)
	if err != nil {
		return err
	}

	encode := r.encoder()
	result := listResult{
		Name:         r.bucket,
		Prefix:       encode(r.query.Get("prefix")),
		MaxKeys:      limit,
		Delimiter:    encode(r.query.Get("delimiter")),
		EncodingType: r.query.Get("encoding-type"),
		IsTruncated:  truncated,
	}
	withOwner := !v2 || r.query.Get("fetch-owner") == "true"
	for _, m := range entries {
		if m.Type == "" {
			result.CommonPrefixes = append(result.CommonPrefixes, commonPrefix{encode(m.Key)})
			continue
		}
		object := listedObject{
			Key:          encode(m.Key),
			LastModified: timestamp(m.ModTime),
			ETag:         quoted(m.ETag),
			Type:         m.Type,
			Size:         m.Size,
			StorageClass: storageClass,
		}
		if withOwner {
			object.Owner = &theOwner
		}
		result.Contents = append(result.Contents, object)
	}
	var next string
	if truncated {
		next = entries[len(entries)-1].Key
	}
	if v2 {
		count := len(entries)
		result.KeyCount = &count
		result.StartAfter = encode(r.query.Get("start-after"))
		result.ContinuationToken = r.query.Get("continuation-token")
		result.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(next))
	} else {
		marker := encode(r.query.Get("marker"))
		result.Marker = &marker
		result.NextMarker = encode(next)
	}
	return writeXML(w, result)
}

// page is up to limit entries after a key or common prefix, and whether there
// are more. Common prefixes have a Key only.
func (s *server) page(r *request, after string, limit int) (entries []metadata, truncated bool, err error) {
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return nil, false, err
	}
	prefix, delimiter := r.query.Get("prefix"), r.query.Get("delimiter")
	for entry, err := range files.Walk(r.Context(), prefix, after, delimiter) {
		if err != nil {
			return nil, false, err
		}
		if len(entries) == limit {
			return entries, true, nil
		}
		if entry.Info == nil {
			entries = append(entries, metadata{Key: entry.Key})
			continue
		}
		lock := s.files.lock(r.bucket, entry.Key)
		lock.RLock()
		entries = append(entries, s.files.describe(r.bucket, entry.Key, entry.Info))
		lock.RUnlock()
	}
	return entries, false, nil
}

func (r *request) maxKeys() (int, error) {
	return r.limit("max-keys", 100)
}

// limit is the most entries that are wanted, 1 to 1000, or OSS's default.
func (r *request) limit(parameter string, fallback int) (int, error) {
	value := r.query.Get(parameter)
	if value == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxKeys {
		return 0, errInvalidArgument.with(parameter + " must be 1 to 1000.")
	}
	return n, nil
}

// encoder encodes keys in a document as the client asks: XML cannot hold every
// character.
func (r *request) encoder() func(string) string {
	if r.query.Get("encoding-type") == "url" {
		return escape
	}
	return func(s string) string { return s }
}
