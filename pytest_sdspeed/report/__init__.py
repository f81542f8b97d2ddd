"""What people read: lines, tables and pages made from results."""
