-- The tables of the declared services with the columns that evidence reads, their types and their keys: as the
-- migrations of manila 23.0.1, heat 27.0.1, ironic 39.0.0 and octavia 19.0.0 make them, and as the models of masakari,
-- magnum, designate, mistral, trove and watcher have them.
CREATE TABLE manila.services (
   id INT AUTO_INCREMENT PRIMARY KEY, host VARCHAR(255), `binary` VARCHAR(255), report_count INT NOT NULL,
   disabled TINYINT(1), disabled_reason VARCHAR(255), created_at DATETIME, updated_at DATETIME(6), deleted INT
) ENGINE=InnoDB;
CREATE TABLE manila.share_instances (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME(6), deleted VARCHAR(36) DEFAULT 'False',
   host VARCHAR(255), status VARCHAR(255), share_id VARCHAR(36)
) ENGINE=InnoDB;
CREATE TABLE manila.share_instance_access_map (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   share_instance_id VARCHAR(36), state VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.share_snapshot_instances (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   share_instance_id VARCHAR(36), status VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.share_servers (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   host VARCHAR(255), status VARCHAR(255), task_state VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.share_groups (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   host VARCHAR(255), status VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.share_group_snapshots (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   share_group_id VARCHAR(36), status VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.shares (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME(6), deleted VARCHAR(36) DEFAULT 'False',
   task_state VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE manila.share_backups (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted VARCHAR(36) DEFAULT 'False',
   host VARCHAR(255), topic VARCHAR(255), status VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE heat.service (
   id VARCHAR(36) PRIMARY KEY, engine_id VARCHAR(36) NOT NULL, host VARCHAR(255), `binary` VARCHAR(255),
   created_at DATETIME, updated_at DATETIME, deleted_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE heat.resource (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, action VARCHAR(255), status VARCHAR(255),
   engine_id VARCHAR(36), created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE heat.stack (
   id VARCHAR(36) PRIMARY KEY, action VARCHAR(255), status VARCHAR(255), created_at DATETIME, updated_at
   DATETIME, deleted_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE heat.stack_lock (
   stack_id VARCHAR(36) PRIMARY KEY, engine_id VARCHAR(36), created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE ironic.conductors (
   id INT AUTO_INCREMENT PRIMARY KEY, hostname VARCHAR(255) NOT NULL UNIQUE, created_at DATETIME, updated_at
   DATETIME
) ENGINE=InnoDB;
CREATE TABLE ironic.nodes (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, provision_state VARCHAR(15), reservation
   VARCHAR(255), created_at DATETIME, updated_at DATETIME, KEY (reservation)
) ENGINE=InnoDB;
CREATE TABLE octavia.load_balancer (
   id VARCHAR(36) PRIMARY KEY, provisioning_status VARCHAR(16) NOT NULL, created_at DATETIME, updated_at
   DATETIME
) ENGINE=InnoDB;
CREATE TABLE octavia.amphora_health (
   amphora_id VARCHAR(36) PRIMARY KEY, last_update DATETIME NOT NULL, busy TINYINT(1) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE masakari.notifications (
   id INT AUTO_INCREMENT PRIMARY KEY, notification_uuid VARCHAR(36) UNIQUE, status ENUM('new', 'running',
   'error', 'failed', 'ignored', 'finished') NOT NULL, deleted INT, created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE magnum.magnum_service (
   id INT AUTO_INCREMENT PRIMARY KEY, host VARCHAR(255), `binary` VARCHAR(255), disabled TINYINT(1),
   disabled_reason VARCHAR(255), last_seen_up DATETIME, report_count INT NOT NULL
) ENGINE=InnoDB;
CREATE TABLE magnum.cluster (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, status VARCHAR(20), stack_id VARCHAR(255),
   created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE designate.service_statuses (
   id CHAR(32) PRIMARY KEY, service_name VARCHAR(40) NOT NULL, hostname VARCHAR(255) NOT NULL, heartbeated_at
   DATETIME
) ENGINE=InnoDB;
CREATE TABLE designate.zones (
   id CHAR(32) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted CHAR(32) NOT NULL DEFAULT '0',
   status ENUM('ACTIVE', 'PENDING', 'DELETED', 'ERROR') NOT NULL
) ENGINE=InnoDB;
CREATE TABLE mistral.action_executions_v2 (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, state VARCHAR(20), accepted
   TINYINT(1), is_sync TINYINT(1)
) ENGINE=InnoDB;
CREATE TABLE trove.instances (
   id VARCHAR(36) PRIMARY KEY, created DATETIME, updated DATETIME, task_id INT, deleted TINYINT(1)
) ENGINE=InnoDB;
CREATE TABLE watcher.services (
   id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255) NOT NULL, host VARCHAR(255), last_seen_up DATETIME,
   created_at DATETIME, deleted INT
) ENGINE=InnoDB;
CREATE TABLE watcher.action_plans (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, state VARCHAR(20), hostname VARCHAR(255),
   deleted INT, created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE watcher.audits (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, audit_type VARCHAR(20), state VARCHAR(20),
   hostname VARCHAR(255), deleted INT, created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
