CREATE TABLE file (	filename, checktxt,	UNIQUE ( filename ) ON CONFLICT REPLACE);
CREATE TABLE dirty (	filename, forced, myname, peername,	UNIQUE ( filename, peername ) ON CONFLICT IGNORE);
CREATE TABLE hint (	filename, recursive,	UNIQUE ( filename, recursive ) ON CONFLICT IGNORE);
CREATE TABLE action (	filename, command, logfile,	UNIQUE ( filename, command ) ON CONFLICT IGNORE);
CREATE TABLE x509_cert (	peername, certdata,	UNIQUE ( peername ) ON CONFLICT IGNORE);
