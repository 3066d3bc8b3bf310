"""Aliyun's Python SDK, oss2, against the embedded store: endpoint, key id, secret, region, v1 or v4."""
import hashlib
import os
import sys
import tempfile
import time

import oss2
import requests

endpoint, key_id, secret, region, version = sys.argv[1:]
auth = oss2.Auth(key_id, secret) if version == "v1" else oss2.AuthV4(key_id, secret)


def open_bucket(name):
    return oss2.Bucket(auth, endpoint, name, region=region)


def refused(status, code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except oss2.exceptions.OssError as error:
        assert (error.status, error.code) == (status, code), error
        assert len(error.request_id) == 24, error
        return error
    raise AssertionError(f"{call.__name__} was not refused")


def near_now(seconds):
    assert abs(seconds - time.time()) < 120, seconds


# Buckets
service = oss2.Service(auth, endpoint, region=region)
bucket = open_bucket("lake")
refused(404, "NoSuchBucket", bucket.get_bucket_info)
bucket.create_bucket(oss2.BUCKET_ACL_PRIVATE, oss2.models.BucketCreateConfig(oss2.BUCKET_STORAGE_CLASS_STANDARD))
for name in "bronze", "silver":
    open_bucket(name).create_bucket()
buckets = service.list_buckets()
assert [b.name for b in buckets.buckets] == ["bronze", "lake", "silver"]
near_now(buckets.buckets[0].creation_date)
assert [b.name for b in oss2.BucketIterator(service, max_keys=1)] == ["bronze", "lake", "silver"]
assert [b.name for b in service.list_buckets(prefix="la").buckets] == ["lake"]
info = bucket.get_bucket_info()
assert (info.name, info.location, info.acl.grant, info.storage_class) == ("lake", "oss-" + region, "private", "Standard")
near_now(oss2.utils.iso8601_to_unixtime(info.creation_date))
assert bucket.get_bucket_location().location == "oss-" + region
assert bucket.get_bucket_acl().acl == "private"
bucket.put_bucket_acl(oss2.BUCKET_ACL_PRIVATE)
refused(501, "NotImplemented", bucket.put_bucket_acl, oss2.BUCKET_ACL_PUBLIC_READ)
refused(501, "NotImplemented", open_bucket("cold").create_bucket, None, oss2.models.BucketCreateConfig(oss2.BUCKET_STORAGE_CLASS_IA))

# Objects
key = "a folder/größe +%&?#=.txt"
content = os.urandom(300_000)
put = bucket.put_object(key, content, headers={"x-oss-meta-rows": "42", "Content-Type": "text/x"})
assert put.status == 200 and put.etag == hashlib.md5(content).hexdigest().upper() and put.crc is not None
assert bucket.get_object(key).read() == content
part = bucket.get_object(key, byte_range=(10, 19))
assert part.status == 206 and part.read() == content[10:20]
assert bucket.get_object(key, byte_range=(None, 5)).read() == content[-5:]
head = bucket.head_object(key)
assert head.content_length == len(content) and head.headers["x-oss-meta-rows"] == "42"
assert (head.content_type, head.object_type) == ("text/x", "Normal") and head.server_crc == put.crc
near_now(head.last_modified)
meta = bucket.get_object_meta(key)
assert meta.content_length == len(content) and meta.etag == put.etag
near_now(meta.last_modified)
assert bucket.object_exists(key) and not bucket.object_exists("absent")
refused(404, "NoSuchKey", bucket.get_object, "absent")
refused(304, "NotModified", bucket.get_object, key, headers={"If-None-Match": '"%s"' % put.etag})
refused(412, "PreconditionFailed", bucket.get_object, key, headers={"If-Match": '"0"'})
refused(409, "FileAlreadyExists", bucket.put_object, key, "x", headers={"x-oss-forbid-overwrite": "true"})
copied = bucket.copy_object("lake", key, "copy")
assert copied.etag == put.etag
assert bucket.get_object("copy").read() == content
assert bucket.get_object_acl(key).acl == "default"
bucket.put_object_acl(key, oss2.OBJECT_ACL_DEFAULT)
bucket.put_object("generator", iter([b"in ", b"chunks"]))
assert bucket.get_object("generator").read() == b"in chunks"
bucket.update_object_meta("copy", {"x-oss-meta-k": "v"})
assert bucket.head_object("copy").headers["x-oss-meta-k"] == "v"
with tempfile.TemporaryDirectory() as folder:
    bucket.get_object_to_file(key, folder + "/file")
    bucket.put_object_from_file("file", folder + "/file")
    oss2.resumable_download(bucket, key, folder + "/parts", multiget_threshold=1, part_size=100_000, store=oss2.ResumableDownloadStore(root=folder))
    assert open(folder + "/file", "rb").read() == open(folder + "/parts", "rb").read() == content

    large = os.urandom(1_000_000)
    with open(folder + "/large", "wb") as file:
        file.write(large)
    oss2.resumable_upload(bucket, "large", folder + "/large", store=oss2.ResumableStore(root=folder),
                          multipart_threshold=1, part_size=300_000, num_threads=2)
    assert bucket.get_object("large").read() == large
    assert bucket.head_object("large").object_type == "Multipart"

# Listings
for name in "list/a", "list/b/1", "list/b/2", "list/c", "list/ü b+":
    bucket.put_object(name, "x")
page = bucket.list_objects(prefix="list/", delimiter="/", max_keys=2)
assert [o.key for o in page.object_list] == ["list/a"] and page.prefix_list == ["list/b/"] and page.is_truncated
page = bucket.list_objects(prefix="list/", delimiter="/", marker=page.next_marker)
assert [o.key for o in page.object_list] == ["list/c", "list/ü b+"] and not page.is_truncated
listed = page.object_list[0]
assert (listed.size, listed.type, listed.storage_class, listed.owner.display_name) == (1, "Normal", "Standard", "lakekit")
assert listed.etag == hashlib.md5(b"x").hexdigest().upper()
near_now(listed.last_modified)
keys = [o.key for o in oss2.ObjectIterator(bucket, max_keys=2)]
assert keys == sorted(keys, key=str.encode) and len(keys) == 10, keys
assert [o.key for o in oss2.ObjectIterator(bucket, prefix="list/", delimiter="/") if o.is_prefix()] == ["list/b/"]
assert [o.key for o in oss2.ObjectIteratorV2(bucket, max_keys=2)] == keys
page = bucket.list_objects_v2(prefix="list/", start_after="list/b/1", fetch_owner=True, max_keys=2)
assert [o.key for o in page.object_list] == ["list/b/2", "list/c"] and page.object_list[0].owner.id
page = bucket.list_objects_v2(prefix="list/", start_after="list/b/1", max_keys=2, continuation_token=page.next_continuation_token)
assert [o.key for o in page.object_list] == ["list/ü b+"] and page.object_list[0].owner is None
refused(400, "InvalidArgument", bucket.list_objects, max_keys=1001)
refused(400, "InvalidArgument", bucket.list_objects, max_keys=0)
stat = bucket.get_bucket_stat()
assert stat.object_count == len(keys) and stat.storage_size_in_bytes > 1_900_000

# Uploads in parts
started = []
for name in "up/a", "up/b/1", "up/b/2":
    started.append((name, bucket.init_multipart_upload(name, headers={"x-oss-meta-k": "v"}).upload_id))
started.append(("up/a", bucket.init_multipart_upload("up/a").upload_id))
assert sorted((u.key, u.upload_id) for u in oss2.MultipartUploadIterator(bucket, max_uploads=1)) == sorted(started)
uploads = bucket.list_multipart_uploads(prefix="up/", delimiter="/")
assert len(uploads.upload_list) == 2 and uploads.prefix_list == ["up/b/"] and not uploads.is_truncated
near_now(uploads.upload_list[0].initiation_date)
assert len(list(oss2.ObjectUploadIterator(bucket, "up/a"))) == 2
upload_id = started[0][1]
first = bucket.upload_part("up/a", upload_id, 1, content)
second = bucket.upload_part_copy("lake", key, (0, 149_999), "up/a", upload_id, 2)
third = bucket.upload_part("up/a", upload_id, 3, b"end")
parts = list(oss2.PartIterator(bucket, "up/a", upload_id, max_parts=2))
assert [(p.part_number, p.size, p.etag) for p in parts] == [
    (1, len(content), first.etag), (2, 150_000, second.etag), (3, 3, third.etag)]
near_now(parts[0].last_modified)
refused(400, "InvalidPart", bucket.complete_multipart_upload, "up/a", upload_id, [oss2.models.PartInfo(1, "0" * 32)])
bucket.complete_multipart_upload("up/a", upload_id, [oss2.models.PartInfo(p.part_number, p.etag) for p in parts])
assert bucket.get_object("up/a").read() == content + content[:150_000] + b"end"
assert bucket.head_object("up/a").headers["x-oss-meta-k"] == "v"
for name, upload_id in started[1:]:
    bucket.abort_multipart_upload(name, upload_id)
refused(404, "NoSuchUpload", bucket.abort_multipart_upload, *started[1])
assert not bucket.list_multipart_uploads().upload_list

# Signed addresses
url = bucket.sign_url("PUT", "signed/ü +", 60, headers={"Content-Type": "text/plain"}, slash_safe=True)
assert requests.put(url, data=b"signed", headers={"Content-Type": "text/plain"}).status_code == 200
url = bucket.sign_url("GET", "signed/ü +", 60, params={"response-content-type": "text/y"}, slash_safe=True)
answer = requests.get(url)
assert answer.content == b"signed" and answer.headers["Content-Type"] == "text/y"
assert requests.get(url + "x").status_code == 403
url = bucket.sign_url("GET", "signed/ü +", 1)
time.sleep(2.1)
answer = requests.get(url)
assert answer.status_code == 403 and b"expired" in answer.content, answer.content

# What is not there says so
for call in (
    lambda: bucket.append_object("log", 0, "x"), lambda: bucket.put_symlink(key, "link"), lambda: bucket.get_symlink(key),
    lambda: bucket.put_object_tagging(key, oss2.models.Tagging()), lambda: bucket.get_object_tagging(key),
    bucket.get_bucket_versioning, bucket.list_object_versions, bucket.get_bucket_lifecycle, bucket.get_bucket_cors,
    lambda: bucket.restore_object(key), lambda: bucket.put_object_acl(key, oss2.OBJECT_ACL_PUBLIC_READ),
    lambda: bucket.put_object("k", "x", headers={"x-oss-server-side-encryption": "AES256"}),
    lambda: bucket.put_object("k", "x", headers={"x-oss-storage-class": "IA"}),
):
    refused(501, "NotImplemented", call)
assert not bucket.object_exists("k")

# Wrong credentials, before a body is read
for wrong, code in (oss2.Auth("other", secret), "InvalidAccessKeyId"), (oss2.Auth(key_id, "other"), "SignatureDoesNotMatch"):
    refused(403, code, oss2.Bucket(wrong, endpoint, "lake").put_object, "k", content)
    refused(403, code, oss2.Bucket(wrong, endpoint, "lake").list_objects)

# The end
refused(409, "BucketNotEmpty", bucket.delete_bucket)
bucket.delete_object(key)
bucket.delete_object(key)
while keys := [o.key for o in bucket.list_objects(max_keys=1000).object_list]:
    assert bucket.batch_delete_objects(keys).deleted_keys == keys
bucket.delete_bucket()
refused(404, "NoSuchBucket", bucket.list_objects)
print("done")
