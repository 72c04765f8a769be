"""What `import thriftune` offers beyond its parts: comparisons of tables in memory, proposals, results that show."""
