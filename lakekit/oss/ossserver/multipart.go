package ossserver

import (
	"cmp"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/oss/internal/folder"
)

const (
	maxParts    = 10_000
	minPartSize = 100 << 10 // bytes, of every part but the last
)

// upload is a multipart upload in progress; its folder holds this as
// upload.json, and each part as a file named "NUMBER.ETAG".
type upload struct {
	Bucket, Key string
	Headers     map[string]string
}

type part struct {
	number int
	etag   string // MD5, upper case hex
	info   os.FileInfo
}

func (s *server) initiateMultipartUpload(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	headers, err := objectHeaders(r.Header)
	if err != nil {
		return err
	}
	id := rand.Text()
	data, err := json.Marshal(upload{r.bucket, r.key, headers})
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.files.multipart(id), "upload.json"), data); err != nil {
		return err
	}
	encode := r.encoder()
	return writeXML(w, struct {
		XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadID     string `xml:"UploadId"`
	}{EncodingType: r.query.Get("encoding-type"), Bucket: r.bucket, Key: encode(r.key), UploadID: id})
}

// upload is the upload a request names, and the folder of its parts.
func (s *server) upload(r *request) (upload, string, error) {
	id := r.query.Get("uploadId")
	if id == "" || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return upload{}, "", errNoSuchUpload
	}
	dir := s.files.multipart(id)
	var u upload
	data, err := os.ReadFile(filepath.Join(dir, "upload.json"))
	if err == nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil || u.Bucket != r.bucket || u.Key != r.key {
		return upload{}, "", errNoSuchUpload
	}
	return u, dir, nil
}

func (s *server) uploadPart(w http.ResponseWriter, r *request) error {
	if r.Header.Get("X-Oss-Copy-Source") != "" {
		return errNotImplemented.with("The embedded object store does not copy parts; copy the object whole.")
	}
	_, dir, err := s.upload(r)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return errInvalidArgument.with("partNumber must be 1 to 10000.")
	}
	parts := folder.New(dir, s.files.staging())
	staged, body, err := s.receive(r, parts)
	if err != nil {
		return err
	}
	defer staged.Discard()
	before, err := readParts(dir)
	if err != nil {
		return err
	}
	name := partName(number, body.etag())
	if err := staged.Replace(name); err != nil {
		return err
	}
	for _, p := range before {
		if old := partName(p.number, p.etag); p.number == number && old != name {
			os.Remove(filepath.Join(dir, old))
		}
	}
	w.Header().Set("ETag", quoted(body.etag()))
	w.Header().Set("X-Oss-Hash-Crc64ecma", body.crc64())
	w.WriteHeader(http.StatusOK)
	return nil
}

func partName(number int, etag string) string { return fmt.Sprintf("%05d.%s", number, etag) }

// readParts are the parts there are, in order.
func readParts(dir string) ([]part, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errNoSuchUpload
	}
	var parts []part
	for _, entry := range entries {
		digits, etag, _ := strings.Cut(entry.Name(), ".")
		number, err := strconv.Atoi(digits)
		if err != nil {
			continue // upload.json
		}
		info, err := entry.Info()
		if err != nil {
			continue // replaced meanwhile
		}
		parts = append(parts, part{number, etag, info})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.number, b.number) })
	return parts, nil
}

func (s *server) completeMultipartUpload(w http.ResponseWriter, r *request) error {
	u, dir, err := s.upload(r)
	if err != nil {
		return err
	}
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	parts, err := orderedParts(r, dir)
	if err != nil {
		return err
	}
	if err := refuseOverwrite(r, files); err != nil {
		return err
	}
	content := &partsReader{dir: dir, parts: parts}
	defer content.Close()
	body := summed(content)
	staged, err := files.Stage(body)
	if err != nil {
		return err
	}
	defer staged.Discard()
	m := metadata{Key: r.key, ETag: multipartETag(parts), CRC64: body.crc64(), Type: "Multipart", Headers: u.Headers}
	if err := s.files.place(r.bucket, staged, &m, forbidsOverwrite(r)); err != nil {
		return err
	}
	os.RemoveAll(dir) // what is left of it is only space
	w.Header().Set("X-Oss-Hash-Crc64ecma", m.CRC64)
	encode := r.encoder()
	return writeXML(w, struct {
		XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
	}{
		EncodingType: r.query.Get("encoding-type"),
		Location:     "http://" + r.Host + "/" + r.bucket + "/" + escape(r.key),
		Bucket:       r.bucket,
		Key:          encode(r.key),
		ETag:         quoted(m.ETag),
	})
}

// orderedParts are the parts the client lists, checked against those there are.
func orderedParts(r *request, dir string) ([]part, error) {
	var order struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Parts   []struct {
			PartNumber int
			ETag       string
		} `xml:"Part"`
	}
	if err := readXML(r, &order); err != nil {
		return nil, err
	}
	if len(order.Parts) == 0 || len(order.Parts) > maxParts {
		return nil, errMalformedXML.with("CompleteMultipartUpload takes 1 to 10,000 parts.")
	}
	present, err := readParts(dir)
	if err != nil {
		return nil, err
	}
	known := map[string]part{}
	for _, p := range present {
		known[partName(p.number, p.etag)] = p
	}
	parts := make([]part, 0, len(order.Parts))
	for i, listed := range order.Parts {
		if i > 0 && listed.PartNumber <= order.Parts[i-1].PartNumber {
			return nil, errInvalidPartOrder
		}
		p, ok := known[partName(listed.PartNumber, strings.ToUpper(strings.Trim(listed.ETag, `"`)))]
		if !ok {
			return nil, errInvalidPart
		}
		if i < len(order.Parts)-1 && p.info.Size() < minPartSize {
			return nil, errEntityTooSmall
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// partsReader reads parts one after the other, with one file open at a time.
type partsReader struct {
	dir   string
	parts []part
	file  *os.File
}

func (p *partsReader) Read(buffer []byte) (int, error) {
	for {
		if p.file == nil {
			if len(p.parts) == 0 {
				return 0, io.EOF
			}
			file, err := os.Open(filepath.Join(p.dir, partName(p.parts[0].number, p.parts[0].etag)))
			if err != nil {
				return 0, errNoSuchUpload // completed or aborted meanwhile
			}
			p.file, p.parts = file, p.parts[1:]
		}
		n, err := p.file.Read(buffer)
		if err != io.EOF {
			return n, err
		}
		p.Close()
	}
}

func (p *partsReader) Close() {
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

// multipartETag is the MD5 of the parts' MD5s and their number: like OSS's,
// not the MD5 of the content.
func multipartETag(parts []part) string {
	sum := md5.New()
	for _, p := range parts {
		digest, _ := hex.DecodeString(p.etag)
		sum.Write(digest)
	}
	return fmt.Sprintf("%X-%d", sum.Sum(nil), len(parts))
}

func (s *server) abortMultipartUpload(w http.ResponseWriter, r *request) error {
	_, dir, err := s.upload(r)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) listParts(w http.ResponseWriter, r *request) error {
	_, dir, err := s.upload(r)
	if err != nil {
		return err
	}
	limit := maxKeys
	if value := r.query.Get("max-parts"); value != "" {
		if limit, err = strconv.Atoi(value); err != nil || limit < 1 || limit > maxKeys {
			return errInvalidArgument.with("max-parts must be 1 to 1000.")
		}
	}
	marker := 0
	if value := r.query.Get("part-number-marker"); value != "" {
		if marker, err = strconv.Atoi(value); err != nil || marker < 0 {
			return errInvalidArgument.with("part-number-marker must be a number.")
		}
	}
	parts, err := readParts(dir)
	if err != nil {
		return err
	}
	type listedPart struct {
		PartNumber   int
		LastModified string
		ETag         string
		Size         int64
	}
	encode := r.encoder()
	result := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		EncodingType         string   `xml:",omitempty"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []listedPart
	}{
		EncodingType:         r.query.Get("encoding-type"),
		Bucket:               r.bucket,
		Key:                  encode(r.key),
		UploadID:             r.query.Get("uploadId"),
		PartNumberMarker:     marker,
		NextPartNumberMarker: marker,
		MaxParts:             limit,
	}
	for _, p := range parts {
		if p.number <= marker {
			continue
		}
		if len(result.Part) == limit {
			result.IsTruncated = true
			break
		}
		result.Part = append(result.Part, listedPart{p.number, p.info.ModTime().UTC().Format(time.RFC3339), quoted(p.etag), p.info.Size()})
		result.NextPartNumberMarker = p.number
	}
	return writeXML(w, result)
}
