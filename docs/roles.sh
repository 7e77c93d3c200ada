# The database's two roles, made once, by the server of compose.yaml when it begins. See docs/deploy.md.
psql --username postgres --dbname photos --set ON_ERROR_STOP=1 \
    --set indexer="$INDEXER_PASSWORD" --set reader="$READER_PASSWORD" <<'END'
CREATE ROLE indexer LOGIN PASSWORD :'indexer';
CREATE ROLE reader LOGIN PASSWORD :'reader';
GRANT CREATE ON DATABASE photos TO indexer;
CREATE SCHEMA photo_index AUTHORIZATION indexer;
GRANT USAGE ON SCHEMA photo_index TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE indexer IN SCHEMA photo_index GRANT SELECT ON TABLES TO reader;
END
