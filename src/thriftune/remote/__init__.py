"""Folders and files that lie elsewhere: s3://, gs://, az:// and whatever else fsspec reaches, through local copies."""
