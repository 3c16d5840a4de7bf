-- The tables of the declared services with the columns that evidence reads, their types and their keys, as the projects'
-- own migrations make them (test_evidence_schemas.py compares the types).
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
CREATE TABLE octavia.amphora (
   id VARCHAR(36) PRIMARY KEY, status VARCHAR(36) NOT NULL, cert_busy TINYINT(1) NOT NULL, created_at DATETIME,
   updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE mistral.delayed_calls_v2 (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, processing TINYINT(1) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE mistral.scheduled_jobs_v2 (
   id VARCHAR(36) PRIMARY KEY, captured_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE neutron.agents (
   id VARCHAR(36) PRIMARY KEY, `binary` VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL,
   admin_state_up TINYINT(1) NOT NULL DEFAULT 1, heartbeat_timestamp DATETIME NOT NULL, KEY (host)
) ENGINE=InnoDB;
CREATE TABLE neutron.provisioningblocks (
   standard_attr_id BIGINT NOT NULL, entity VARCHAR(255) NOT NULL, PRIMARY KEY (standard_attr_id, entity)
) ENGINE=InnoDB;
CREATE TABLE neutron.standardattributes (
   id BIGINT AUTO_INCREMENT PRIMARY KEY, created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
CREATE TABLE neutron.ports (
   id VARCHAR(36) PRIMARY KEY, network_id VARCHAR(36) NOT NULL, standard_attr_id BIGINT NOT NULL UNIQUE
) ENGINE=InnoDB;
CREATE TABLE neutron.ml2_port_bindings (
   port_id VARCHAR(36) NOT NULL, host VARCHAR(255) NOT NULL DEFAULT '', vif_type VARCHAR(64) NOT NULL,
   status VARCHAR(16) NOT NULL DEFAULT 'ACTIVE', PRIMARY KEY (port_id, host)
) ENGINE=InnoDB;
CREATE TABLE neutron.networkdhcpagentbindings (
   network_id VARCHAR(36) NOT NULL, dhcp_agent_id VARCHAR(36) NOT NULL, PRIMARY KEY (network_id, dhcp_agent_id)
) ENGINE=InnoDB;
CREATE TABLE glance.tasks (
   id VARCHAR(36) PRIMARY KEY, status VARCHAR(30) NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME,
   deleted TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE glance.images (
   id VARCHAR(36) PRIMARY KEY, status VARCHAR(30) NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME,
   deleted TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE tacker.vnf_lcm_op_occs (
   id VARCHAR(36) PRIMARY KEY, operation_state VARCHAR(255) NOT NULL, created_at DATETIME, updated_at DATETIME,
   deleted TINYINT(1) NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE tacker.VnfLcmOpOccV2 (
   id VARCHAR(255) PRIMARY KEY, operationState ENUM('STARTING', 'PROCESSING', 'COMPLETED', 'FAILED_TEMP', 'FAILED',
   'ROLLING_BACK', 'ROLLED_BACK') NOT NULL, stateEnteredTime DATETIME NOT NULL
) ENGINE=InnoDB;
CREATE TABLE blazar.leases (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, status VARCHAR(255)
) ENGINE=InnoDB;
CREATE TABLE blazar.events (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME, updated_at DATETIME, status VARCHAR(13)
) ENGINE=InnoDB;
CREATE TABLE barbican.orders (
   id VARCHAR(36) PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, deleted TINYINT(1) NOT NULL,
   status VARCHAR(20) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE cyborg.extended_accelerator_requests (
   id INT AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(36) NOT NULL UNIQUE, state ENUM('Initial', 'BindStarted', 'Bound',
   'BindFailed', 'Unbound', 'Deleting') NOT NULL, created_at DATETIME, updated_at DATETIME
) ENGINE=InnoDB;
