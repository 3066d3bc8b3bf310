package ossserver

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"taxilake/lakekit/internal/folder"
)

const (
	maxParts    = 10_000
	minPartSize = 100 << 10 // bytes, of every part but the last

	// OSS keeps unfinished uploads for ever, in any number. Here they are given up
	// when nothing has come for that long.
	maxUploads = 1000
	uploadTime = 7 * 24 * time.Hour
)

// upload is a multipart upload in progress; its folder holds this as
// upload.json, and each part as a file named "NUMBER.ETAG".
type upload struct {
	Bucket, Key string
	Headers     map[string]string

	id      string
	started time.Time
}

func (u upload) dir() string { return path.Join(uploadsDir, u.id) }

const uploadFile = "upload.json"

// readUpload is the upload of an id.
func (s *store) readUpload(id string) (upload, error) {
	u := upload{id: id}
	if id == "" || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return u, errNoSuchUpload
	}
	name := path.Join(u.dir(), uploadFile)
	info, err := s.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return u, errNoSuchUpload
	}
	data, err := s.root.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil {
		return u, errNoSuchUpload
	}
	u.started = info.ModTime()
	return u, nil
}

// uploads are those of a bucket, in the order of their keys and ids.
func (s *store) uploads(ctx context.Context, bucket string) ([]upload, error) {
	ids, err := fs.ReadDir(s.root.FS(), uploadsDir)
	if err != nil {
		return nil, err
	}
	var uploads []upload
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if u, err := s.readUpload(id.Name()); err == nil && u.Bucket == bucket {
			uploads = append(uploads, u)
		}
	}
	slices.SortFunc(uploads, func(a, b upload) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.id, b.id)) })
	return uploads, nil
}

// giveUpUploads removes those to which nothing has come since a time, and tells
// how many are left.
func (s *store) giveUpUploads(since time.Time) (left int, err error) {
	ids, err := fs.ReadDir(s.root.FS(), uploadsDir)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		info, err := id.Info()
		if err == nil && info.ModTime().Before(since) {
			err = s.root.RemoveAll(path.Join(uploadsDir, id.Name()))
		} else {
			left++
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return left, nil
}

type part struct {
	number int
	etag   string // MD5, upper case hex
	info   os.FileInfo
}

// roomForUpload keeps the bounds on unfinished uploads.
func (s *server) roomForUpload() error {
	now := s.options.Clock()
	ids, err := fs.ReadDir(s.files.root.FS(), uploadsDir)
	if err != nil {
		return err
	}
	left := len(ids)
	if left >= maxUploads || now.Sub(s.gaveUp) > time.Hour {
		if left, err = s.files.giveUpUploads(now.Add(-uploadTime)); err != nil {
			return err
		}
		s.gaveUp = now
	}
	if left >= maxUploads {
		return errTooManyUploads
	}
	return nil
}

func (s *server) initiateMultipartUpload(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	headers, err := objectHeaders(r.Header)
	if err != nil {
		return err
	}
	s.initiating.Lock() // one at a time, so that the bound holds
	defer s.initiating.Unlock()
	if err := s.roomForUpload(); err != nil {
		return err
	}
	u := upload{Bucket: r.bucket, Key: r.key, Headers: headers, id: rand.Text()}
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := s.files.writeFile(path.Join(u.dir(), uploadFile), data); err != nil {
		return err
	}
	encode := r.encoder()
	return writeXML(w, struct {
		XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
		EncodingType string   `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadID     string `xml:"UploadId"`
	}{EncodingType: r.query.Get("encoding-type"), Bucket: r.bucket, Key: encode(r.key), UploadID: u.id})
}

// upload is the one a request names.
func (s *server) upload(r *request) (upload, error) {
	u, err := s.files.readUpload(r.query.Get("uploadId"))
	if err == nil && (u.Bucket != r.bucket || u.Key != r.key) {
		err = errNoSuchUpload
	}
	return u, err
}

func (s *server) uploadPart(w http.ResponseWriter, r *request) error {
	u, err := s.upload(r)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return errInvalidArgument.with("partNumber must be 1 to 10000.")
	}
	parts := folder.Confined(s.files.root, u.dir(), stagingDir)
	var staged *folder.Staged
	var body *sums
	copied := r.Header.Get("X-Oss-Copy-Source") != ""
	if copied {
		staged, body, err = s.copyPart(r, parts)
	} else {
		staged, body, err = s.receive(r, parts)
	}
	if err != nil {
		return err
	}
	defer staged.Discard()
	before, err := s.files.readParts(u)
	if err != nil {
		return err
	}
	name := partName(number, body.etag())
	if err := staged.Replace(name); err != nil {
		return err
	}
	for _, p := range before {
		if old := partName(p.number, p.etag); p.number == number && old != name {
			_ = s.files.root.Remove(path.Join(u.dir(), old))
		}
	}
	w.Header().Set("ETag", quoted(body.etag()))
	w.Header().Set("X-Oss-Hash-Crc64ecma", body.crc64())
	if copied {
		return writeXML(w, struct {
			XMLName      xml.Name `xml:"CopyPartResult"`
			LastModified string
			ETag         string
		}{LastModified: timestamp(staged.Info.ModTime()), ETag: quoted(body.etag())})
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// copyPart stages a range of another object.
func (s *server) copyPart(r *request, parts *folder.Folder) (*folder.Staged, *sums, error) {
	file, m, err := s.copySource(r)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	start, length, partial, err := parseRange(r.Header.Get("X-Oss-Copy-Source-Range"), m.Size, true)
	switch {
	case err != nil:
		return nil, nil, err
	case !partial && r.Header.Get("X-Oss-Copy-Source-Range") != "":
		return nil, nil, errInvalidRange
	case length > maxObject:
		return nil, nil, errEntityTooLarge
	}
	body := summed(io.NewSectionReader(file, start, length))
	staged, err := parts.Stage(r.Context(), body)
	return staged, body, err
}

func partName(number int, etag string) string { return fmt.Sprintf("%05d.%s", number, etag) }

// readParts are the parts there are, in order.
func (s *store) readParts(u upload) ([]part, error) {
	entries, err := fs.ReadDir(s.root.FS(), u.dir())
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
		if err != nil || !info.Mode().IsRegular() {
			continue // replaced meanwhile
		}
		parts = append(parts, part{number, etag, info})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.number, b.number) })
	return parts, nil
}

func (s *server) completeMultipartUpload(w http.ResponseWriter, r *request) error {
	u, err := s.upload(r)
	if err != nil {
		return err
	}
	files, err := s.files.bucket(r.bucket)
	if err != nil {
		return err
	}
	parts, err := s.orderedParts(r, u)
	if err != nil {
		return err
	}
	if err := refuseOverwrite(r, files); err != nil {
		return err
	}
	content := &partsReader{folder: folder.Confined(s.files.root, u.dir(), stagingDir), parts: parts}
	defer content.Close()
	body := summed(content)
	staged, err := files.Stage(r.Context(), body)
	if err != nil {
		return err
	}
	defer staged.Discard()
	m := metadata{Key: r.key, ETag: multipartETag(parts), CRC64: body.crc64(), Type: "Multipart", Headers: u.Headers}
	if err := s.files.place(r.bucket, staged, &m, forbidsOverwrite(r)); err != nil {
		return err
	}
	_ = s.files.root.RemoveAll(u.dir()) // what is left of it is only space
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
func (s *server) orderedParts(r *request, u upload) ([]part, error) {
	present, err := s.files.readParts(u)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(r.Header.Get("X-Oss-Complete-All"), "yes") {
		if r.ContentLength != 0 {
			return nil, errInvalidArgument.with("With x-oss-complete-all, CompleteMultipartUpload takes no list of parts.")
		}
		return checkedParts(present)
	}
	var order struct {
		XMLName xml.Name          `xml:"CompleteMultipartUpload"`
		Parts   list[orderedPart] `xml:"Part"`
	}
	if err := readXML(r, &order); err != nil {
		return nil, err
	}
	if len(order.Parts) == 0 {
		return nil, errMalformedXML.with("CompleteMultipartUpload takes 1 to 10,000 parts.")
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
		parts = append(parts, p)
	}
	return checkedParts(parts)
}

type orderedPart struct {
	PartNumber int
	ETag       string
}

func (orderedPart) most() int { return maxParts }

func checkedParts(parts []part) ([]part, error) {
	if len(parts) == 0 {
		return nil, errInvalidPart
	}
	for _, p := range parts[:len(parts)-1] {
		if p.info.Size() < minPartSize {
			return nil, errEntityTooSmall
		}
	}
	return parts, nil
}

// partsReader reads parts one after the other, with one file open at a time.
type partsReader struct {
	folder *folder.Folder
	parts  []part
	file   *os.File
}

func (p *partsReader) Read(buffer []byte) (int, error) {
	for {
		if p.file == nil {
			if len(p.parts) == 0 {
				return 0, io.EOF
			}
			file, _, err := p.folder.Open(partName(p.parts[0].number, p.parts[0].etag))
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
	u, err := s.upload(r)
	if err != nil {
		return err
	}
	if err := s.files.root.RemoveAll(u.dir()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) listParts(w http.ResponseWriter, r *request) error {
	u, err := s.upload(r)
	if err != nil {
		return err
	}
	limit, err := r.limit("max-parts", maxKeys)
	if err != nil {
		return err
	}
	marker := 0
	if value := r.query.Get("part-number-marker"); value != "" {
		if marker, err = strconv.Atoi(value); err != nil || marker < 0 {
			return errInvalidArgument.with("part-number-marker must be a number.")
		}
	}
	parts, err := s.files.readParts(u)
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
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []listedPart
	}{
		EncodingType:         r.query.Get("encoding-type"),
		Bucket:               r.bucket,
		Key:                  encode(r.key),
		UploadID:             u.id,
		StorageClass:         storageClass,
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
		result.Part = append(result.Part, listedPart{p.number, timestamp(p.info.ModTime()), quoted(p.etag), p.info.Size()})
		result.NextPartNumberMarker = p.number
	}
	return writeXML(w, result)
}

// listMultipartUploads pages by key and id: after key-marker, or after
// upload-id-marker among the uploads of that key.
func (s *server) listMultipartUploads(w http.ResponseWriter, r *request) error {
	if _, err := s.files.bucket(r.bucket); err != nil {
		return err
	}
	limit, err := r.limit("max-uploads", maxKeys)
	if err != nil {
		return err
	}
	uploads, err := s.files.uploads(r.Context(), r.bucket)
	if err != nil {
		return err
	}
	prefix, delimiter := r.query.Get("prefix"), r.query.Get("delimiter")
	keyMarker, idMarker := r.query.Get("key-marker"), r.query.Get("upload-id-marker")
	if keyMarker == "" {
		idMarker = "" // as OSS does
	}
	type listedUpload struct {
		Key          string
		UploadID     string `xml:"UploadId"`
		StorageClass string
		Initiated    string
	}
	encode := r.encoder()
	result := struct {
		XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
		EncodingType       string   `xml:",omitempty"`
		Bucket             string
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string
		NextUploadIDMarker string `xml:"NextUploadIdMarker"`
		Delimiter          string
		Prefix             string
		MaxUploads         int
		IsTruncated        bool
		Upload             []listedUpload
		CommonPrefixes     []commonPrefix
	}{
		EncodingType:   r.query.Get("encoding-type"),
		Bucket:         r.bucket,
		KeyMarker:      encode(keyMarker),
		UploadIDMarker: idMarker,
		Delimiter:      encode(delimiter),
		Prefix:         encode(prefix),
		MaxUploads:     limit,
	}
	lastKey, lastID := keyMarker, idMarker
	for _, u := range uploads {
		beyond, ok := strings.CutPrefix(u.Key, prefix)
		key, id := u.Key, u.id
		if end := strings.Index(beyond, delimiter); ok && delimiter != "" && end >= 0 {
			key, id = prefix+beyond[:end+len(delimiter)], ""
		}
		switch {
		case !ok, key < lastKey, key == lastKey && (lastID == "" || id <= lastID):
			continue
		case len(result.Upload)+len(result.CommonPrefixes) == limit:
			result.IsTruncated = true
		case id == "":
			result.CommonPrefixes = append(result.CommonPrefixes, commonPrefix{encode(key)})
		default:
			result.Upload = append(result.Upload, listedUpload{encode(key), id, storageClass, timestamp(u.started)})
		}
		if result.IsTruncated {
			result.NextKeyMarker, result.NextUploadIDMarker = encode(lastKey), lastID
			break
		}
		lastKey, lastID = key, id
	}
	return writeXML(w, result)
}
