SET pipeline = 'test';
CREATE SERVER k1 FOREIGN DATA WRAPPER debezium OPTIONS ("group.id" 'x');
CREATE SERVER k2 FOREIGN DATA WRAPPER debezium;
CREATE SERVER k3 FOREIGN DATA WRAPPER debezium OPTIONS ("bootstrap.servers" '');
