"""Register what passed, promote it by the ledger, roll it back, and read it again with every byte
checked.
"""
