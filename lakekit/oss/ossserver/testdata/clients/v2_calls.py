"""Aliyun's newer Python SDK, alibabacloud-oss-v2, against the embedded store: endpoint, key id, secret, region, v1 or v4."""
import base64
import datetime
import hashlib
import io
import os
import sys
import tempfile

import alibabacloud_oss_v2 as oss
import requests

endpoint, key_id, secret, region, version = sys.argv[1:]


# Finer codes of OSS
EC = {
    "NoSuchBucket": "0015-00000101", "NoSuchKey": "0026-00000001", "FileAlreadyExists": "0026-00000002", "BucketNotEmpty": "0015-00000301",
    "InvalidAccessKeyId": "0002-00000902", "SignatureDoesNotMatch": "0002-00000040",
}


def connect(key_id, secret):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(key_id, secret)
    config.region, config.endpoint, config.use_path_style = region, endpoint, True
    config.signature_version = version
    config.retry_max_attempts = 1
    return oss.Client(config)


client = connect(key_id, secret)


def refused(status, code, call):
    try:
        call()
    except oss.exceptions.OperationError as error:
        service = error.unwrap()
        assert (service.status_code, service.code) == (status, code), service
        assert len(service.request_id) == 24 and service.ec == EC.get(code, ""), service
        return
    raise AssertionError(f"not refused with {code}")


def near_now(moment):
    assert abs(moment - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=2), moment


# Buckets
refused(404, "NoSuchBucket", lambda: client.get_bucket_info(oss.GetBucketInfoRequest(bucket="lake")))
assert not client.is_bucket_exist("lake")
client.put_bucket(oss.PutBucketRequest(
    bucket="lake", acl="private", create_bucket_configuration=oss.CreateBucketConfiguration(storage_class="Standard")))
client.put_bucket(oss.PutBucketRequest(bucket="bronze"))
assert client.is_bucket_exist("lake")
names = [b.name for page in client.list_buckets_paginator(limit=1).iter_page(oss.ListBucketsRequest()) for b in page.buckets]
assert names == ["bronze", "lake"]
info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket="lake")).bucket_info
assert (info.name, info.acl, info.storage_class, info.data_redundancy_type) == ("lake", "private", "Standard", "LRS")
near_now(info.creation_date)
assert client.get_bucket_location(oss.GetBucketLocationRequest(bucket="lake")).location == "oss-" + region
assert client.get_bucket_acl(oss.GetBucketAclRequest(bucket="lake")).acl == "private"
client.put_bucket_acl(oss.PutBucketAclRequest(bucket="lake", acl="private"))
refused(501, "NotImplemented", lambda: client.put_bucket_acl(oss.PutBucketAclRequest(bucket="lake", acl="public-read")))

# Objects
key = "a folder/größe +%&?#=.txt"
content = os.urandom(300_000)
put = client.put_object(oss.PutObjectRequest(bucket="lake", key=key, body=content, metadata={"rows": "42"}, content_type="text/x"))
assert put.etag.strip('"') == hashlib.md5(content).hexdigest().upper()
assert put.content_md5 == base64.b64encode(hashlib.md5(content).digest()).decode() and put.hash_crc64
assert client.get_object(oss.GetObjectRequest(bucket="lake", key=key)).body.read() == content
part = client.get_object(oss.GetObjectRequest(bucket="lake", key=key, range_header="bytes=10-19", range_behavior="standard"))
assert part.status_code == 206 and part.content_range == f"bytes 10-19/{len(content)}" and part.body.read() == content[10:20]
head = client.head_object(oss.HeadObjectRequest(bucket="lake", key=key))
assert head.content_length == len(content) and head.metadata == {"rows": "42"} and head.hash_crc64 == put.hash_crc64
near_now(head.last_modified)
meta = client.get_object_meta(oss.GetObjectMetaRequest(bucket="lake", key=key))
assert meta.content_length == len(content) and meta.etag == put.etag
assert client.is_object_exist("lake", key) and not client.is_object_exist("lake", "absent")
refused(404, "NoSuchKey", lambda: client.get_object(oss.GetObjectRequest(bucket="lake", key="absent")))
refused(404, "NoSuchKey", lambda: client.head_object(oss.HeadObjectRequest(bucket="lake", key="absent")))
refused(416, "InvalidRange", lambda: client.get_object(
    oss.GetObjectRequest(bucket="lake", key=key, range_header="bytes=300000-", range_behavior="standard")))
refused(409, "FileAlreadyExists", lambda: client.put_object(
    oss.PutObjectRequest(bucket="lake", key=key, body=b"x", forbid_overwrite=True)))
copied = client.copy_object(oss.CopyObjectRequest(bucket="lake", key="copy", source_bucket="lake", source_key=key))
assert copied.etag == put.etag
near_now(copied.last_modified)
assert client.get_object_acl(oss.GetObjectAclRequest(bucket="lake", key=key)).acl == "default"
with client.open_file("lake", key) as file:
    file.seek(100)
    assert file.read(50) == content[100:150]
with tempfile.TemporaryDirectory() as folder:
    client.downloader(part_size=100_000).download_file(oss.GetObjectRequest(bucket="lake", key=key), folder + "/file")
    assert open(folder + "/file", "rb").read() == content
    large = os.urandom(1_000_000)
    with open(folder + "/large", "wb") as file:
        file.write(large)
    client.uploader(part_size=300_000, parallel_num=2).upload_file(oss.PutObjectRequest(bucket="lake", key="large"), folder + "/large")
    assert client.get_object(oss.GetObjectRequest(bucket="lake", key="large")).body.read() == large
client.copier(part_size=300_000, multipart_copy_threshold=1, disable_shallow_copy=True).copy(
    oss.CopyObjectRequest(bucket="bronze", key="large", source_bucket="lake", source_key="large"))
assert client.get_object(oss.GetObjectRequest(bucket="bronze", key="large")).body.read() == large

# Listings
for name in "list/a", "list/b/1", "list/b/2", "list/c", "list/ü b+":
    client.put_object(oss.PutObjectRequest(bucket="lake", key=name, body=b"x"))
expected = ["list/a", "list/b/1", "list/b/2", "list/c", "list/ü b+"]
for paginator, request in (
    (client.list_objects_paginator(limit=2), oss.ListObjectsRequest),
    (client.list_objects_v2_paginator(limit=2), oss.ListObjectsV2Request),
):
    objects = [o for page in paginator.iter_page(request(bucket="lake", prefix="list/", encoding_type="url")) for o in page.contents or []]
    assert [o.key for o in objects] == expected
    assert (objects[0].size, objects[0].object_type, objects[0].storage_class) == (1, "Normal", "Standard")
    near_now(objects[0].last_modified)
    pages = list(paginator.iter_page(request(bucket="lake", prefix="list/", delimiter="/")))
    assert [p.prefix for page in pages for p in page.common_prefixes or []] == ["list/b/"]
    assert [o.key for page in pages for o in page.contents or []] == ["list/a", "list/c", "list/ü b+"]
page = client.list_objects_v2(oss.ListObjectsV2Request(bucket="lake", prefix="list/", start_after="list/b/2", fetch_owner=True))
assert page.key_count == 2 and page.start_after == "list/b/2" and page.contents[0].owner.display_name == "lakekit"
stat = client.get_bucket_stat(oss.GetBucketStatRequest(bucket="lake"))
assert stat.object_count == 8 and stat.storage == 2 * len(content) + len(large) + 5

# Uploads in parts
uploads = [(name, client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket="lake", key=name)).upload_id)
           for name in ("up/a", "up/b/1", "up/a")]
listed = [(u.key, u.upload_id) for page in client.list_multipart_uploads_paginator(limit=1).iter_page(
    oss.ListMultipartUploadsRequest(bucket="lake")) for u in page.uploads]
assert listed == sorted(uploads)
name, upload_id = uploads[0]
for number, body in (1, content), (2, b"end"):
    client.upload_part(oss.UploadPartRequest(bucket="lake", key=name, upload_id=upload_id, part_number=number, body=body))
parts = [p for page in client.list_parts_paginator(limit=1).iter_page(
    oss.ListPartsRequest(bucket="lake", key=name, upload_id=upload_id)) for p in page.parts]
assert [(p.part_number, p.size) for p in parts] == [(1, len(content)), (2, 3)]
near_now(parts[0].last_modified)
client.complete_multipart_upload(oss.CompleteMultipartUploadRequest(bucket="lake", key=name, upload_id=upload_id, complete_all="yes"))
assert client.get_object(oss.GetObjectRequest(bucket="lake", key=name)).body.read() == content + b"end"
for name, upload_id in uploads[1:]:
    client.abort_multipart_upload(oss.AbortMultipartUploadRequest(bucket="lake", key=name, upload_id=upload_id))
refused(404, "NoSuchUpload", lambda: client.abort_multipart_upload(
    oss.AbortMultipartUploadRequest(bucket="lake", key=uploads[1][0], upload_id=uploads[1][1])))

# Signed addresses
signed = client.presign(oss.PutObjectRequest(bucket="lake", key="signed/ü +", content_type="text/plain"), expires=datetime.timedelta(minutes=1))
assert requests.put(signed.url, data=b"signed", headers=signed.signed_headers).status_code == 200
signed = client.presign(oss.GetObjectRequest(bucket="lake", key="signed/ü +"), expires=datetime.timedelta(minutes=1))
assert requests.get(signed.url).content == b"signed"

# What is not there says so
for call in (
    lambda: client.append_object(oss.AppendObjectRequest(bucket="lake", key="log", position=0, body=b"x")),
    lambda: client.put_symlink(oss.PutSymlinkRequest(bucket="lake", key="link", symlink_target="copy")),
    lambda: client.get_symlink(oss.GetSymlinkRequest(bucket="lake", key="link")),
    lambda: client.put_object_tagging(oss.PutObjectTaggingRequest(
        bucket="lake", key=key, tagging=oss.Tagging(tag_set=oss.TagSet(tags=[oss.Tag(key="k", value="v")])))),
    lambda: client.get_bucket_versioning(oss.GetBucketVersioningRequest(bucket="lake")),
    lambda: client.list_object_versions(oss.ListObjectVersionsRequest(bucket="lake")),
    lambda: client.put_object(oss.PutObjectRequest(bucket="lake", key="k", body=b"x", tagging="k=v")),
    lambda: client.put_object(oss.PutObjectRequest(bucket="lake", key="k", body=b"x", storage_class="IA")),
    lambda: client.put_object_acl(oss.PutObjectAclRequest(bucket="lake", key=key, acl="public-read")),
    lambda: client.get_bucket_lifecycle(oss.GetBucketLifecycleRequest(bucket="lake")),
):
    refused(501, "NotImplemented", call)
assert not client.is_object_exist("lake", "k")

# Wrong credentials
refused(403, "InvalidAccessKeyId", lambda: connect("other", secret).put_object(oss.PutObjectRequest(bucket="lake", key="k", body=content)))
refused(403, "SignatureDoesNotMatch", lambda: connect(key_id, "other").list_objects(oss.ListObjectsRequest(bucket="lake")))

# The end
refused(409, "BucketNotEmpty", lambda: client.delete_bucket(oss.DeleteBucketRequest(bucket="lake")))
client.delete_object(oss.DeleteObjectRequest(bucket="lake", key=key))
keys = [o.key for o in client.list_objects_v2(oss.ListObjectsV2Request(bucket="lake")).contents]
deleted = client.delete_multiple_objects(oss.DeleteMultipleObjectsRequest(
    bucket="lake", encoding_type="url", objects=[oss.DeleteObject(key=k) for k in keys]))
assert [d.key for d in deleted.deleted_objects] == keys
client.delete_bucket(oss.DeleteBucketRequest(bucket="lake"))
print("done")
