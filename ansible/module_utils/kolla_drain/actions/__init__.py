"""The actions of the module kolla_docker: options in, a typed result out. No Ansible in here."""
