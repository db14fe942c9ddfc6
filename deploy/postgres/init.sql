-- One database and one role per service; no role sees two. For development: the passwords begin with `sample`, which production refuses.
CREATE ROLE booking LOGIN PASSWORD 'sample-booking';
CREATE ROLE payment LOGIN PASSWORD 'sample-payment';
CREATE ROLE claims LOGIN PASSWORD 'sample-claims';
CREATE ROLE documents LOGIN PASSWORD 'sample-documents';
CREATE DATABASE booking OWNER booking;
CREATE DATABASE payment OWNER payment;
CREATE DATABASE claims OWNER claims;
CREATE DATABASE documents OWNER documents;
REVOKE CONNECT ON DATABASE booking, payment, claims, documents FROM PUBLIC;
