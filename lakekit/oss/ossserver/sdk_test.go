package ossserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"taxilake/lakekit/oss/ossserver"
)

const (
	accessKeyID     = "test-id"
	accessKeySecret = "test-secret"
	region          = "cn-hangzhou"
)

// start runs a server, whose folder it returns.
func start(t testing.TB, clock func() time.Time) (url, dir string) {
	t.Helper()
	dir = t.TempDir()
	handler, err := ossserver.New(ossserver.Options{
		Dir: dir, AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret, Region: region, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, dir
}

func connect(t testing.TB, url string, options ...sdk.ClientOption) *sdk.Client {
	t.Helper()
	return connectAs(t, url, accessKeyID, accessKeySecret, options...)
}

func connectAs(t testing.TB, url, id, secret string, options ...sdk.ClientOption) *sdk.Client {
	t.Helper()
	wire := sdk.HTTPClient(&http.Client{Transport: readFirst{}})
	client, err := sdk.New(url, id, secret, append([]sdk.ClientOption{wire}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// readFirst reads a body before it sends it. The SDK counts what was read of
// its body as soon as there is an answer, and ours may come before all was sent.
type readFirst struct{}

func (readFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	r = r.WithContext(r.Context()) // a copy: the caller's request must not change
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(r)
}

var v4 = []sdk.ClientOption{sdk.AuthVersion(sdk.AuthV4), sdk.Region(region)}

// eachSignature runs a test with a bucket "lake" by V1 and by V4 signatures.
func eachSignature(t *testing.T, test func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string)) {
	for name, options := range map[string][]sdk.ClientOption{"V1": nil, "V4": v4} {
		t.Run(name, func(t *testing.T) {
			url, dir := start(t, nil)
			client := connect(t, url, options...)
			if err := client.CreateBucket("lake"); err != nil {
				t.Fatal(err)
			}
			bucket, err := client.Bucket("lake")
			if err != nil {
				t.Fatal(err)
			}
			test(t, client, bucket, dir)
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode checks the status and code of an answer, and that it can be traced.
func wantCode(t *testing.T, err error, status int, code string) {
	t.Helper()
	var service sdk.ServiceError
	if !errors.As(err, &service) {
		t.Fatalf("error %v, want %d %s", err, status, code)
	}
	if service.StatusCode != status || service.Code != code || len(service.RequestID) != 24 {
		t.Errorf("answer %d %s %q of request %q, want %d %s",
			service.StatusCode, service.Code, service.Message, service.RequestID, status, code)
	}
}

func content(t *testing.T, bucket *sdk.Bucket, key string, options ...sdk.Option) string {
	t.Helper()
	body, err := bucket.GetObject(key, options...)
	check(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	check(t, err)
	return string(data)
}

func TestBuckets(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, client.CreateBucket("lake")) // again
		for _, name := range []string{"bronze", "lake-2"} {
			check(t, client.CreateBucket(name))
		}
		list, err := client.ListBuckets()
		check(t, err)
		var names []string
		for _, b := range list.Buckets {
			names = append(names, b.Name)
			if b.Region != region || b.Location != "oss-"+region || time.Since(b.CreationDate).Abs() > time.Minute {
				t.Errorf("bucket %+v", b)
			}
		}
		if want := []string{"bronze", "lake", "lake-2"}; !slices.Equal(names, want) {
			t.Errorf("buckets %q, want %q", names, want)
		}
		page, err := client.ListBuckets(sdk.MaxKeys(1), sdk.Prefix("la"))
		check(t, err)
		if len(page.Buckets) != 1 || !page.IsTruncated || page.NextMarker != "lake" {
			t.Errorf("first page %+v", page)
		}
		page, err = client.ListBuckets(sdk.MaxKeys(1), sdk.Prefix("la"), sdk.Marker(page.NextMarker))
		check(t, err)
		if len(page.Buckets) != 1 || page.IsTruncated || page.Buckets[0].Name != "lake-2" {
			t.Errorf("second page %+v", page)
		}
		for name, want := range map[string]bool{"lake": true, "lak": false, "absent": false} {
			if exists, err := client.IsBucketExist(name); err != nil || exists != want {
				t.Errorf("IsBucketExist(%s) = %t, %v", name, exists, err)
			}
		}
		info, err := client.GetBucketInfo("lake")
		check(t, err)
		if info.BucketInfo.Name != "lake" || info.BucketInfo.ACL != "private" || info.BucketInfo.Location != "oss-"+region {
			t.Errorf("info %+v", info)
		}
		_, err = client.GetBucketInfo("absent")
		wantCode(t, err, 404, "NoSuchBucket")
		location, err := client.GetBucketLocation("lake")
		if err != nil || location != "oss-"+region {
			t.Errorf("location %q, %v", location, err)
		}

		check(t, bucket.PutObject("a/b/c", strings.NewReader("x")))
		wantCode(t, client.DeleteBucket("lake"), 409, "BucketNotEmpty")
		check(t, bucket.DeleteObject("a/b/c"))
		check(t, os.MkdirAll(filepath.Join(dir, "lake", "an", "empty", "folder"), 0o755))
		check(t, client.DeleteBucket("lake"))
		wantCode(t, client.DeleteBucket("lake"), 404, "NoSuchBucket")
		wantCode(t, bucket.PutObject("a", strings.NewReader("x")), 404, "NoSuchBucket")
		_, err = bucket.GetObject("a")
		wantCode(t, err, 404, "NoSuchBucket")
		_, err = bucket.ListObjectsV2()
		wantCode(t, err, 404, "NoSuchBucket")
	})
}

func TestObjectHeaders(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, bucket.PutObject("t/part-0.parquet", strings.NewReader("123456789"),
			sdk.Meta("rows", "42"), sdk.Meta("Note", "a b+c"), sdk.ContentType("application/x-parquet"),
			sdk.CacheControl("no-cache"), sdk.ContentMD5("JfnnlDI7RTiF9RgfG2JNCw==")))
		header, err := bucket.GetObjectDetailedMeta("t/part-0.parquet")
		check(t, err)
		for name, want := range map[string]string{
			"Content-Length":       "9",
			"Content-Type":         "application/x-parquet",
			"Cache-Control":        "no-cache",
			"X-Oss-Meta-Rows":      "42",
			"X-Oss-Meta-Note":      "a b+c",
			"Etag":                 `"25F9E794323B453885F5181F1B624D0B"`, // of "123456789", as its CRC below
			"X-Oss-Hash-Crc64ecma": "11051210869376104954",
			"X-Oss-Object-Type":    "Normal",
			"X-Oss-Storage-Class":  "Standard",
			"Accept-Ranges":        "bytes",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if exists, err := bucket.IsObjectExist("t/part-0.parquet"); !exists || err != nil {
			t.Errorf("IsObjectExist = %t, %v", exists, err)
		}
		if exists, err := bucket.IsObjectExist("absent"); exists || err != nil {
			t.Errorf("IsObjectExist(absent) = %t, %v", exists, err)
		}
		_, err = bucket.GetObjectDetailedMeta("absent")
		wantCode(t, err, 404, "NoSuchKey")

		// Another engine replaces the file: what was kept beside holds no more.
		check(t, os.WriteFile(filepath.Join(dir, "lake", "t", "part-0.parquet"), []byte("compact"), 0o644))
		header, err = bucket.GetObjectDetailedMeta("t/part-0.parquet")
		check(t, err)
		if header.Get("X-Oss-Meta-Rows") != "" || header.Get("X-Oss-Hash-Crc64ecma") != "" ||
			header.Get("Content-Length") != "7" || header.Get("Etag") == `"25F9E794323B453885F5181F1B624D0B"` {
			t.Errorf("headers of the replaced file: %v", header)
		}
		if got := content(t, bucket, "t/part-0.parquet"); got != "compact" {
			t.Errorf("got %q", got)
		}

		wantCode(t, bucket.PutObject("bad", strings.NewReader("other"), sdk.ContentMD5("JfnnlDI7RTiF9RgfG2JNCw==")), 400, "InvalidDigest")
		wantCode(t, bucket.PutObject("big", strings.NewReader("x"), sdk.Meta("m", strings.Repeat("x", 9000))), 400, "InvalidArgument")
		if exists, _ := bucket.IsObjectExist("bad"); exists {
			t.Error("an object whose MD5 was wrong is there")
		}
	})
}

func TestRangesAndConditions(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, bucket.PutObject("ten", strings.NewReader("0123456789")))
		standard := sdk.RangeBehavior("standard")
		for _, test := range []struct {
			options []sdk.Option
			want    string
		}{
			{[]sdk.Option{sdk.Range(2, 4)}, "234"},
			{[]sdk.Option{sdk.NormalizedRange("7-")}, "789"},
			{[]sdk.Option{sdk.NormalizedRange("-2")}, "89"},
			{[]sdk.Option{sdk.Range(0, 9)}, "0123456789"},
			{[]sdk.Option{sdk.Range(5, 100)}, "0123456789"}, // OSS ignores what it cannot give exactly
			{[]sdk.Option{sdk.Range(10, 20)}, "0123456789"},
			{[]sdk.Option{sdk.Range(5, 100), standard}, "56789"},
			{[]sdk.Option{sdk.NormalizedRange("-20"), standard}, "0123456789"},
		} {
			if got := content(t, bucket, "ten", test.options...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		}
		_, err := bucket.GetObject("ten", sdk.Range(10, 20), standard)
		wantCode(t, err, 416, "InvalidRange")

		header, err := bucket.GetObjectDetailedMeta("ten")
		check(t, err)
		etag := header.Get("ETag")
		if got := content(t, bucket, "ten", sdk.IfMatch(etag), sdk.IfUnmodifiedSince(time.Now().Add(time.Hour))); got != "0123456789" {
			t.Errorf("got %q", got)
		}
		_, err = bucket.GetObject("ten", sdk.IfMatch(`"other"`))
		wantCode(t, err, 412, "PreconditionFailed")
		_, err = bucket.GetObject("ten", sdk.IfUnmodifiedSince(time.Now().Add(-time.Hour)))
		wantCode(t, err, 412, "PreconditionFailed")
		for _, option := range []sdk.Option{sdk.IfNoneMatch(etag), sdk.IfModifiedSince(time.Now().Add(time.Hour))} {
			if _, err = bucket.GetObject("ten", option); err == nil || !strings.Contains(err.Error(), "304") {
				t.Errorf("error %v, want 304", err)
			}
		}
	})
}

func TestForbidOverwrite(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		forbid := sdk.ForbidOverWrite(true)
		check(t, bucket.PutObject("log/0.json", strings.NewReader("first"), forbid))
		wantCode(t, bucket.PutObject("log/0.json", strings.NewReader("second"), forbid), 409, "FileAlreadyExists")
		// A body longer than the buffers of a connection must not hide the answer.
		wantCode(t, bucket.PutObject("log/0.json", bytes.NewReader(make([]byte, 16<<20)), forbid), 409, "FileAlreadyExists")
		_, err := bucket.CopyObject("log/0.json", "log/0.json", forbid)
		wantCode(t, err, 409, "FileAlreadyExists")
		if got := content(t, bucket, "log/0.json"); got != "first" {
			t.Errorf("got %q", got)
		}
		check(t, bucket.PutObject("log/0.json", strings.NewReader("third"), sdk.ForbidOverWrite(false)))
	})
}

func TestListing(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		keys := []string{"a b", "a+b", "d/1", "d/2", "d/e/f", "e-1", "e-2", "é", "上"}
		for _, key := range keys {
			check(t, bucket.PutObject(key, strings.NewReader(key)))
		}
		for pageSize := 1; pageSize <= 10; pageSize++ {
			for _, test := range []struct {
				name      string
				prefix    string
				delimiter string
				after     string
				want      []string
			}{
				{"all", "", "", "", keys},
				{"after", "", "", "d/1", keys[3:]},
				{"folders", "", "/", "", []string{"a b", "a+b", "d/", "e-1", "e-2", "é", "上"}},
				{"in folder", "d/", "/", "", []string{"d/1", "d/2", "d/e/"}},
				{"other delimiter", "", "-", "", []string{"a b", "a+b", "d/1", "d/2", "d/e/f", "e-", "é", "上"}},
			} {
				var v1, v2 []string
				for marker := test.after; ; {
					page, err := bucket.ListObjects(sdk.Prefix(test.prefix), sdk.Delimiter(test.delimiter), sdk.Marker(marker), sdk.MaxKeys(pageSize))
					check(t, err)
					v1 = append(v1, pageKeys(page.Objects, page.CommonPrefixes)...)
					if marker = page.NextMarker; !page.IsTruncated {
						break
					}
				}
				for token := ""; ; {
					page, err := bucket.ListObjectsV2(sdk.Prefix(test.prefix), sdk.Delimiter(test.delimiter), sdk.StartAfter(test.after), sdk.ContinuationToken(token), sdk.MaxKeys(pageSize))
					check(t, err)
					if got := len(page.Objects) + len(page.CommonPrefixes); got > pageSize {
						t.Errorf("a page of %d has %d entries", pageSize, got)
					}
					v2 = append(v2, pageKeys(page.Objects, page.CommonPrefixes)...)
					if token = page.NextContinuationToken; !page.IsTruncated {
						break
					}
				}
				if !slices.Equal(v1, test.want) || !slices.Equal(v2, test.want) {
					t.Errorf("%s by %d:\nv1   %q\nv2   %q\nwant %q", test.name, pageSize, v1, v2, test.want)
				}
			}
		}
		page, err := bucket.ListObjectsV2(sdk.Prefix("d/1"), sdk.FetchOwner(true))
		check(t, err)
		if o := page.Objects[0]; o.ETag != `"00A5790302343AB4CA174475C37155EF"` || o.Size != 3 || o.Type != "Normal" || o.Owner.ID == "" || time.Since(o.LastModified).Abs() > time.Minute {
			t.Errorf("object %+v", o)
		}
		for _, limit := range []int{-1, 0, 1001} {
			_, err = bucket.ListObjectsV2(sdk.MaxKeys(limit))
			wantCode(t, err, 400, "InvalidArgument")
		}
		_, err = bucket.ListObjectsV2(sdk.ContinuationToken("!"))
		wantCode(t, err, 400, "InvalidArgument")
	})
}

func pageKeys(objects []sdk.ObjectProperties, prefixes []string) []string {
	keys := slices.Clone(prefixes)
	for _, object := range objects {
		keys = append(keys, object.Key)
	}
	slices.Sort(keys)
	return keys
}

func TestDeleteObjects(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		keys := []string{"a", "b/c", "d e", "f&g<h>", "上", "tab\there"}
		for _, key := range keys {
			check(t, bucket.PutObject(key, strings.NewReader(key)))
		}
		result, err := bucket.DeleteObjects(append(keys[1:], "absent"))
		check(t, err)
		if want := append(keys[1:], "absent"); !slices.Equal(result.DeletedObjects, want) {
			t.Errorf("deleted %q, want %q", result.DeletedObjects, want)
		}
		check(t, bucket.DeleteObject("absent"))
		list, err := bucket.ListObjectsV2()
		check(t, err)
		if got := pageKeys(list.Objects, nil); !slices.Equal(got, []string{"a"}) {
			t.Errorf("left %q", got)
		}
		quiet, err := bucket.DeleteObjects([]string{"a"}, sdk.DeleteObjectsQuiet(true))
		if err != nil || len(quiet.DeletedObjects) != 0 {
			t.Errorf("quiet: %+v, %v", quiet, err)
		}
		_, err = bucket.DeleteObjects(slices.Repeat([]string{"x"}, 1001))
		wantCode(t, err, 400, "MalformedXML")
		_, err = bucket.DeleteObjects([]string{"../x"})
		wantCode(t, err, 400, "InvalidObjectName")
	})
}

func TestCopyObject(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, client.CreateBucket("other"))
		source := "from/a b+c%20上.json"
		check(t, bucket.PutObject(source, strings.NewReader("content"), sdk.Meta("k", "v")))
		result, err := bucket.CopyObject(source, "to")
		check(t, err)
		if result.ETag != `"9A0364B9E99BB480DD25E1F0284C8555"` || time.Since(result.LastModified).Abs() > time.Minute {
			t.Errorf("result %+v", result)
		}
		_, err = bucket.CopyObjectTo("other", "there", source, sdk.MetadataDirective(sdk.MetaReplace), sdk.Meta("k", "new"))
		check(t, err)
		other, err := client.Bucket("other")
		check(t, err)
		for _, test := range []struct {
			bucket    *sdk.Bucket
			key, meta string
		}{{bucket, "to", "v"}, {other, "there", "new"}} {
			if got := content(t, test.bucket, test.key); got != "content" {
				t.Errorf("%s = %q", test.key, got)
			}
			header, err := test.bucket.GetObjectDetailedMeta(test.key)
			check(t, err)
			if got := header.Get("X-Oss-Meta-K"); got != test.meta {
				t.Errorf("%s: meta %q, want %q", test.key, got, test.meta)
			}
		}
		_, err = bucket.CopyObject("absent", "to")
		wantCode(t, err, 404, "NoSuchKey")
		_, err = bucket.CopyObject(source, "to", sdk.CopySourceIfMatch(`"other"`))
		wantCode(t, err, 412, "PreconditionFailed")
		_, err = bucket.CopyObject("../../etc/passwd", "to")
		wantCode(t, err, 400, "InvalidObjectName")
	})
}

func TestMultipart(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		chunk := func(c string) string { return strings.Repeat(c, 100<<10) }
		upload, err := bucket.InitiateMultipartUpload("big/上 1", sdk.Meta("k", "v"))
		check(t, err)
		if upload.Key != "big/上 1" {
			t.Errorf("key %q", upload.Key)
		}
		var parts []sdk.UploadPart
		for number, body := range map[int]string{3: "end", 1: chunk("x"), 2: chunk("b")} {
			part, err := bucket.UploadPart(upload, strings.NewReader(body), int64(len(body)), number)
			check(t, err)
			parts = append(parts, part)
		}
		slices.SortFunc(parts, func(a, b sdk.UploadPart) int { return a.PartNumber - b.PartNumber })
		stale := slices.Clone(parts)
		parts[0], err = bucket.UploadPart(upload, strings.NewReader(chunk("a")), 100<<10, 1) // replaces
		check(t, err)

		listed, err := bucket.ListUploadedParts(upload)
		check(t, err)
		if len(listed.UploadedParts) != 3 || listed.UploadedParts[0].ETag != parts[0].ETag || listed.UploadedParts[2].Size != 3 {
			t.Errorf("parts %+v", listed.UploadedParts)
		}
		page, err := bucket.ListUploadedParts(upload, sdk.MaxParts(1), sdk.PartNumberMarker(1))
		check(t, err)
		if len(page.UploadedParts) != 1 || page.UploadedParts[0].PartNumber != 2 || !page.IsTruncated || page.NextPartNumberMarker != "2" {
			t.Errorf("second page %+v", page)
		}
		if exists, _ := bucket.IsObjectExist("big/上 1"); exists {
			t.Error("the object is there before its completion")
		}
		// The SDK sorts parts itself, so the order is tried in TestRawRequests.
		_, err = bucket.CompleteMultipartUpload(upload, stale)
		wantCode(t, err, 400, "InvalidPart")

		check(t, bucket.PutObject("big/上 1", strings.NewReader("in the way")))
		_, err = bucket.CompleteMultipartUpload(upload, parts, sdk.ForbidOverWrite(true))
		wantCode(t, err, 409, "FileAlreadyExists")
		check(t, bucket.DeleteObject("big/上 1"))
		result, err := bucket.CompleteMultipartUpload(upload, parts, sdk.ForbidOverWrite(true))
		check(t, err)
		if result.Key != "big/上 1" || !strings.HasSuffix(result.ETag, `-3"`) {
			t.Errorf("result %+v", result)
		}
		if got := content(t, bucket, "big/上 1"); got != chunk("a")+chunk("b")+"end" {
			t.Errorf("got %d bytes", len(got))
		}
		header, err := bucket.GetObjectDetailedMeta("big/上 1")
		check(t, err)
		if header.Get("X-Oss-Meta-K") != "v" || header.Get("X-Oss-Object-Type") != "Multipart" || header.Get("ETag") != result.ETag {
			t.Errorf("headers %v", header)
		}
		_, err = bucket.CompleteMultipartUpload(upload, parts)
		wantCode(t, err, 404, "NoSuchUpload")

		upload, err = bucket.InitiateMultipartUpload("small parts")
		check(t, err)
		parts = nil
		for number := 1; number <= 2; number++ {
			part, err := bucket.UploadPart(upload, strings.NewReader("small"), 5, number)
			check(t, err)
			parts = append(parts, part)
		}
		_, err = bucket.CompleteMultipartUpload(upload, parts)
		wantCode(t, err, 400, "EntityTooSmall")
		check(t, bucket.AbortMultipartUpload(upload))
		wantCode(t, bucket.AbortMultipartUpload(upload), 404, "NoSuchUpload")
		_, err = bucket.UploadPart(upload, strings.NewReader("x"), 1, 1)
		wantCode(t, err, 404, "NoSuchUpload")
		upload.UploadID = "../../lake"
		wantCode(t, bucket.AbortMultipartUpload(upload), 404, "NoSuchUpload")
	})
}

// TestTransferFile is the SDK's resumable upload and download with checkpoints.
func TestTransferFile(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
		data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
		check(t, os.WriteFile(from, data, 0o644))
		check(t, bucket.UploadFile("file.csv", from, 200<<10, sdk.Routines(3), sdk.Checkpoint(true, "")))
		check(t, bucket.DownloadFile("file.csv", to, 150<<10, sdk.Routines(3), sdk.Checkpoint(true, "")))
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		check(t, bucket.GetObjectToFile("file.csv", to))
	})
}

func TestSignedURLs(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		key := "signed/a b+c=上.txt"
		url, err := bucket.SignURL(key, sdk.HTTPPut, 60, sdk.ContentType("text/csv"))
		check(t, err)
		check(t, bucket.PutObjectWithURL(url, strings.NewReader("content"), sdk.ContentType("text/csv")))
		wantCode(t, bucket.PutObjectWithURL(url, strings.NewReader("other"), sdk.ContentType("text/plain")), 403, "SignatureDoesNotMatch")

		url, err = bucket.SignURL(key, sdk.HTTPGet, 60, sdk.ResponseContentType("text/plain"))
		check(t, err)
		response, err := http.Get(url)
		check(t, err)
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != 200 || string(body) != "content" || response.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s %q %v", response.Status, body, response.Header)
		}
		for name, tampered := range map[string]string{
			"key":     strings.Replace(url, "signed", "signee", 1),
			"query":   url + "&response-expires=x&uploads",
			"bucket":  strings.Replace(url, "/lake/", "/bake/", 1),
			"expires": strings.NewReplacer("Expires=1", "Expires=2", "x-oss-expires=60", "x-oss-expires=61").Replace(url),
		} {
			_, err := bucket.GetObjectWithURL(tampered)
			if err == nil {
				t.Errorf("URL with another %s was accepted", name)
				continue
			}
			wantCode(t, err, 403, "SignatureDoesNotMatch")
		}
		wantCode(t, bucket.PutObjectWithURL(url, strings.NewReader("other")), 403, "SignatureDoesNotMatch")
	})
}

func TestNotImplemented(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, bucket.PutObject("k", strings.NewReader("x")))
		_, err := bucket.AppendObject("k", strings.NewReader("y"), 0)
		wantCode(t, err, 501, "NotImplemented")
		wantCode(t, bucket.SetObjectACL("k", sdk.ACLPublicRead), 501, "NotImplemented")
		wantCode(t, bucket.PutObjectTagging("k", sdk.Tagging{}), 501, "NotImplemented")
		wantCode(t, client.DeleteBucketLifecycle("lake"), 501, "NotImplemented")
		_, err = bucket.ListObjectVersions()
		wantCode(t, err, 501, "NotImplemented")
		if got := content(t, bucket, "k"); got != "x" {
			t.Errorf("k = %q", got)
		}
	})
}

func TestPlainFiles(t *testing.T) {
	eachSignature(t, func(t *testing.T, client *sdk.Client, bucket *sdk.Bucket, dir string) {
		check(t, bucket.PutObject("delta/t/day=1/a b.parquet", strings.NewReader("content"), sdk.Meta("k", "v")))
		data, err := os.ReadFile(filepath.Join(dir, "lake", "delta", "t", "day=1", "a b.parquet"))
		if err != nil || string(data) != "content" {
			t.Errorf("file %q, %v", data, err)
		}
		var files []string
		check(t, filepath.Walk(filepath.Join(dir, "lake"), func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				files = append(files, info.Name())
			}
			return err
		}))
		if !slices.Equal(files, []string{"a b.parquet"}) {
			t.Errorf("files in the bucket's folder: %q", files)
		}
		for _, key := range []string{"delta", "delta/t", "delta/t/day=1/a b.parquet/below"} {
			err := bucket.PutObject(key, strings.NewReader("x"))
			wantCode(t, err, 400, "InvalidObjectName")
			if err == nil || !strings.Contains(err.Error(), "both an object and a folder") {
				t.Errorf("put %s: %v", key, err)
			}
			wantCode(t, bucket.PutObject(key, strings.NewReader("x"), sdk.ForbidOverWrite(true)), 400, "InvalidObjectName")
		}
	})
}

func TestLeftoversAreRemoved(t *testing.T) {
	_, dir := start(t, nil)
	leftover := filepath.Join(dir, ".oss", "staging", "put-123")
	check(t, os.WriteFile(leftover, []byte("half"), 0o600))
	_, err := ossserver.New(ossserver.Options{Dir: dir, AccessKeyID: "a", AccessKeySecret: "b"})
	check(t, err)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a half written file is still there: %v", err)
	}
}

func TestOptions(t *testing.T) {
	if _, err := ossserver.New(ossserver.Options{Dir: t.TempDir()}); err == nil {
		t.Error("a server without credentials")
	}
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o644))
	if _, err := ossserver.New(ossserver.Options{Dir: file, AccessKeyID: "a", AccessKeySecret: "b"}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a server on a file: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("server/%dKiB", size>>10), func(b *testing.B) {
			url, _ := start(b, nil)
			client := connect(b, url, v4...)
			if err := client.CreateBucket("lake"); err != nil {
				b.Fatal(err)
			}
			bucket, err := client.Bucket("lake")
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				if err := bucket.PutObject(fmt.Sprintf("t/%d", i), bytes.NewReader(make([]byte, size))); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("bare file and fsync/%dKiB", size>>10), func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				file, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := file.Write(make([]byte, size)); err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(file.Sync(), file.Close()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkList1000(b *testing.B) {
	url, _ := start(b, nil)
	client := connect(b, url, v4...)
	if err := client.CreateBucket("lake"); err != nil {
		b.Fatal(err)
	}
	bucket, err := client.Bucket("lake")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		if err := bucket.PutObject(fmt.Sprintf("t/%04d", i), strings.NewReader("x")); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		page, err := bucket.ListObjectsV2(sdk.MaxKeys(1000))
		if err != nil || len(page.Objects) != 1000 {
			b.Fatal(len(page.Objects), err)
		}
	}
}
